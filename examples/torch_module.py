"""A drop-in for torch.nn.LSTM: change one import, keep the program and its checkpoints."""

import torch

from gatesmith.torch import LSTM

torch.manual_seed(0)
lstm = LSTM(input_size=4, hidden_size=16, num_layers=2, batch_first=True)
head = torch.nn.Linear(16, 1)
optimiser = torch.optim.Adam([*lstm.parameters(), *head.parameters()], lr=1e-2)

x = torch.randn(64, 12, 4)  # [N, T, D]
target = x.sum(dim=(1, 2)).sign()
for epoch in range(30):
    y, _ = lstm(x)
    loss = torch.nn.functional.soft_margin_loss(head(y[:, -1]).squeeze(1), target)
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
    if epoch % 10 == 9:
        print(f"epoch {epoch + 1}: loss {loss.item():.3f}")

theirs = torch.nn.LSTM(4, 16, 2, batch_first=True)
theirs.load_state_dict(lstm.state_dict())
print(f"torch.nn.LSTM with the same state_dict differs by {(theirs(x)[0] - lstm(x)[0]).abs().max().item():.1e}")
