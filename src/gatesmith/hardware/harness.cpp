// Drives the modules `lstm` and `lstm_stack` under Verilator: reads jobs from a file, streams them, writes what came out.
//
// Usage: harness REQUEST RESPONSE. Both are int64 words; exchange.py writes the one and reads the other, and names the
// fields. Everything that depends on the design's sizes is in the request, so that this file is never edited.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <type_traits>
#include <vector>

#include "Vtop.h"
#include "verilated.h"
#if VM_TRACE
#include "verilated_saif_c.h"
#endif
#if VM_COVERAGE
#include "verilated_cov.h"
#endif

namespace {

using Words = std::vector<int64_t>;

// Ports are integers up to 64 bits and arrays of 32-bit words above.
template <class Port>
uint32_t word_of(const Port& port, int word) {
  if constexpr (std::is_integral_v<Port>) return static_cast<uint32_t>(static_cast<uint64_t>(port) >> (32 * word));
  else return port[word];
}

template <class Port>
int64_t field(const Port& port, int index, int width) {
  uint64_t value = 0;
  for (int bit = 0; bit < width; ++bit) {
    const int at = index * width + bit;
    value |= static_cast<uint64_t>((word_of(port, at / 32) >> (at % 32)) & 1u) << bit;
  }
  const uint64_t sign = uint64_t{1} << (width - 1);
  return static_cast<int64_t>((value ^ sign) - sign);
}

template <class Port>
void set_field(Port& port, int index, int width, int64_t value) {
  for (int bit = 0; bit < width; ++bit) {
    const int at = index * width + bit;
    const uint64_t set = (static_cast<uint64_t>(value) >> bit) & 1u;
    if constexpr (std::is_integral_v<Port>) {
      port = static_cast<Port>((port & ~(Port{1} << at)) | (static_cast<Port>(set) << at));
    } else {
      port[at / 32] = (port[at / 32] & ~(1u << (at % 32))) | (static_cast<uint32_t>(set) << (at % 32));
    }
  }
}

// What `lstm_stack` has and `lstm` has not.
template <class Top>
void choose_cell(Top& top, int64_t cell) {
  if constexpr (requires { top.state_cell_i; }) top.state_cell_i = static_cast<unsigned>(cell);
}

// Of a design where several sequences take turns, whose step a beat is of, and whose states are moved.
template <class Top>
void choose_context(Top& top, int64_t context) {
  if constexpr (requires { top.state_context_i; }) top.state_context_i = static_cast<unsigned>(context);
}

template <class Top>
void set_id(Top& top, int64_t id) {
  if constexpr (requires { top.s_axis_tid; }) top.s_axis_tid = static_cast<unsigned>(id);
}

template <class Top>
int64_t id(const Top& top) {
  if constexpr (requires { top.m_axis_tid; }) return top.m_axis_tid;
  else return 0;
}

template <class Top>
bool overflow(const Top& top) {
  if constexpr (requires { top.overflow_o; }) return top.overflow_o;
  else return false;
}

template <class Top>
bool head_saturated(const Top& top) {
  if constexpr (requires { top.head_saturated_o; }) return top.head_saturated_o;
  else return false;
}

struct Settings {
  int64_t jobs, in_elements, in_width, out_elements, out_width;
  int64_t contexts, cells, outputs, hidden, units, unit_bits, state_width, read_latency;
  int64_t keep, move_states, valid_duty, ready_duty, seed, patience, warmup, reset;
};
constexpr size_t settings_words = sizeof(Settings) / sizeof(int64_t);

struct Job {
  const int64_t *states, *data, *last, *ids;  // states: of each context and cell h0, then c0
  int64_t in_beats, out_beats;
};

class Bench {
 public:
  explicit Bench(const Settings& settings) : set_(settings), random_(static_cast<uint64_t>(settings.seed)) {
    context_.randReset(2);
    context_.randSeed(static_cast<int>(settings.seed % 0x7fffffff) + 1);
    top_ = std::make_unique<Vtop>(&context_, "top");
#if VM_TRACE
    context_.traceEverOn(true);
    top_->trace(&activity_, 1000);
    activity_.open("activity.saif");
#endif
    reset(4);
  }
  ~Bench() {
#if VM_TRACE
    activity_.close();
#endif
    top_->final();
#if VM_COVERAGE
    context_.coveragep()->write("coverage.dat");
#endif
  }

  void reset(int64_t clocks) {
    top_->rst = 1;
    top_->s_axis_tvalid = top_->m_axis_tready = top_->state_write_i = top_->weight_write_i = top_->clear_i = 0;
    top_->keep_i = set_.keep != 0;
    while (clocks-- > 0) tick();
    top_->rst = 0;
  }

  // Streams one job for at most `limit` clocks. Returns false where nothing moved for `patience` clocks.
  bool stream(const Job& job, Words& data, Words& last, Words& ids, int64_t& first_clock, int64_t& last_clock, int64_t limit) {
    int64_t in = 0, out = 0, idle = 0;
    const int64_t start = clock_;
    bool offered = false;  // valid must not fall before ready
    while (out < job.out_beats || in < job.in_beats) {
      if (clock_ - start >= limit) return true;
      offered = in < job.in_beats && (offered || drawn(set_.valid_duty));
      top_->s_axis_tvalid = offered;
      if (offered) {
        for (int i = 0; i < set_.in_elements; ++i)
          set_field(top_->s_axis_tdata, i, static_cast<int>(set_.in_width), job.data[in * set_.in_elements + i]);
        top_->s_axis_tlast = job.last[in] != 0;
        set_id(*top_, job.ids[in]);
      }
      top_->m_axis_tready = drawn(set_.ready_duty);
      settle();
      const bool taken = offered && top_->s_axis_tready, given = top_->m_axis_tready && top_->m_axis_tvalid;
      if (given) {
        for (int i = 0; i < set_.out_elements; ++i)
          data.push_back(field(top_->m_axis_tdata, i, static_cast<int>(set_.out_width)));
        last.push_back(top_->m_axis_tlast);
        ids.push_back(id(*top_));
        last_clock = clock_;
        ++out;
      }
      if (taken) {
        if (in++ == 0) first_clock = clock_;
        offered = false;
      }
      idle = taken || given ? 0 : idle + 1;
      if (idle > set_.patience) return false;
      tick();
    }
    top_->s_axis_tvalid = 0;
    top_->m_axis_tready = 0;
    return true;
  }

  void write_states(const Job& job) {
    for (int64_t at = 0; at < states(); ++at) {
      point_at(at);
      set_field(top_->state_data_i, 0, static_cast<int>(set_.state_width), job.states[at]);
      top_->state_write_i = 1;
      tick();
    }
    top_->state_write_i = 0;
    for (int i = 0; i < 4; ++i) tick();  // through the registers before the memory
  }

  // Returns false where the design stays busy for `patience` clocks.
  bool read_states(Words& into) {
    for (int64_t wait = 0; top_->busy_o; ++wait) {
      if (wait > set_.patience) return false;
      tick();
    }
    for (int64_t at = 0; at < states() + set_.read_latency; ++at) {
      if (at >= set_.read_latency) into.push_back(field(top_->state_data_o, 0, static_cast<int>(set_.state_width)));
      point_at(at < states() ? at : 0);
      tick();
    }
    return true;
  }
  int64_t states() const { return set_.contexts * set_.cells * (set_.outputs + set_.hidden); }

  void clear_flags() {
    top_->clear_i = 1;
    tick();
    top_->clear_i = 0;
  }
  // Bits 0 to 59: three for each cell; 60: protocol error; 61: overflow; 62: a score.
  int64_t flags() {
    int64_t flags = static_cast<int64_t>(top_->saturated_o);
    flags |= static_cast<int64_t>(top_->protocol_error_o) << 60;
    flags |= static_cast<int64_t>(overflow(*top_)) << 61;
    return flags | static_cast<int64_t>(head_saturated(*top_)) << 62;
  }
  int64_t clock() const { return clock_; }
  void idle(int clocks) { while (clocks-- > 0) tick(); }

 private:
  void settle() { top_->clk = 0; top_->eval(); }
  void tick() {
    settle();
    top_->clk = 1;
    top_->eval();
#if VM_TRACE
    activity_.dump(static_cast<uint64_t>(clock_));
#endif
    ++clock_;
  }
  bool drawn(int64_t duty) {  // true duty times in 256
    random_ = random_ * 6364136223846793005ull + 1442695040888963407ull;
    return static_cast<int64_t>(random_ >> 56) < duty;
  }
  // The state port's address of word `at`: of each context and cell all of h (or of its projection), then all of c.
  void point_at(int64_t at) {
    const int64_t size = set_.outputs + set_.hidden, place = at % size;
    const bool c = place >= set_.outputs;
    const int64_t unit = c ? place - set_.outputs : place;
    choose_cell(*top_, at / size % set_.cells);
    choose_context(*top_, at / size / set_.cells);
    top_->state_select_i = c;
    top_->state_address_i = static_cast<unsigned>(((unit / set_.units) << set_.unit_bits) | (unit % set_.units));
  }

  Settings set_;
  uint64_t random_;
  int64_t clock_ = 0;
  VerilatedContext context_;
  std::unique_ptr<Vtop> top_;
#if VM_TRACE
  VerilatedSaifC activity_;  // how often every bit changed, one sample a clock
#endif
};

Words read_words(const char* path) {
  std::FILE* file = std::fopen(path, "rb");
  if (!file) throw std::runtime_error("can't open the request");
  std::fseek(file, 0, SEEK_END);
  Words words(static_cast<size_t>(std::ftell(file)) / sizeof(int64_t));
  std::rewind(file);
  const size_t read = std::fread(words.data(), sizeof(int64_t), words.size(), file);
  std::fclose(file);
  if (read != words.size() || words.size() < settings_words) throw std::runtime_error("the request is truncated");
  return words;
}

void write_words(const char* path, const Words& words) {
  std::FILE* file = std::fopen(path, "wb");
  if (!file || std::fwrite(words.data(), sizeof(int64_t), words.size(), file) != words.size() || std::fclose(file))
    throw std::runtime_error("can't write the response");
}

// Response: status (0 done, 1 stuck), clocks; then for each job: first and last clock, flags, data, last, ids, h and c;
// of one that got stuck its number alone.
Words run(const Words& request) {
  Settings set;
  std::copy_n(request.begin(), settings_words, reinterpret_cast<int64_t*>(&set));
  const int64_t* at = request.data() + settings_words;
  Bench bench(set);
  Words response{0, 0};
  for (int64_t index = 0; index < set.jobs; ++index) {
    Job job{};
    job.in_beats = *at++;
    job.out_beats = *at++;
    job.states = at;
    job.data = at + bench.states();
    job.last = job.data + job.in_beats * set.in_elements;
    job.ids = job.last + job.in_beats;
    at = job.ids + job.in_beats;

    Words data, last, ids, states;
    int64_t first_clock = 0, last_clock = 0;
    if (set.warmup > 0) {  // begin, reset in the middle, and begin again
      bench.stream(job, data, last, ids, first_clock, last_clock, set.warmup);
      bench.reset(set.reset);
      data.clear();
      last.clear();
      ids.clear();
    }
    if (set.move_states) bench.write_states(job);
    bench.clear_flags();
    if (!bench.stream(job, data, last, ids, first_clock, last_clock, INT64_MAX) ||
        (set.move_states && !bench.read_states(states))) {
      response[0] = 1;
      response.push_back(index);
      return response;
    }
    if (!set.move_states) bench.idle(4);
    response.insert(response.end(), {first_clock, last_clock, bench.flags()});
    for (const Words* part : {&data, &last, &ids, &states}) response.insert(response.end(), part->begin(), part->end());
  }
  response[1] = bench.clock();
  return response;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: harness REQUEST RESPONSE\n", stderr);
    return 2;
  }
  try {
    write_words(argv[2], run(read_words(argv[1])));
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
  return 0;
}
