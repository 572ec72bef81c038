// Short rows of a batch sorted by length, moved between x or y and the order of ranks.
//
// A row of a few units is a line or two of the cache. Read and written in the order of ranks, every one of them would be
// a wait for memory; so each step x is read, and y written, in the order in which it lies there, which the processor
// guesses, and what stands in the order of ranks stays in the cache.
#pragma once

#include <algorithm>

#include "kernel.h"
#include "simd.h"

namespace GATESMITH_TARGET {

class ShortRows {
public:
    static bool pay(const gatesmith::CellForward &cell, const gatesmith::Share &share) {
        return cell.sequences.lengths && !cell.reverse && !share.split_units && share.rows >= MIN_ROWS &&
            cell.shape.inputs <= MAX_FLOATS && cell.shape.hidden <= MAX_FLOATS;
    }

    static int64_t bytes(const gatesmith::CellShape &shape, int64_t rows) {
        if (shape.hidden > MAX_FLOATS) return 0;
        return rows * (int64_t)(2 * sizeof(Place)) + (rows + 2) * MAX_FLOATS * (int64_t)sizeof(float);
    }

    ShortRows(const gatesmith::CellForward &cell, const gatesmith::Share &share, void *memory)
        : cell_(cell), share_(share), x_(static_cast<float *>(memory)),
          stride_(gatesmith::round_up(cell.shape.inputs, LANES)) {
        zeros_ = x_ + share.rows * MAX_FLOATS;
        unread_ = zeros_ + MAX_FLOATS;
        all_ = reinterpret_cast<Place *>(unread_ + MAX_FLOATS);
        running_ = all_ + share.rows;
        for (int64_t i = 0; i < MAX_FLOATS; ++i) zeros_[i] = 0.0f;
        for (int64_t i = 0; i < share.rows; ++i) all_[i] = {i, cell.sequences.row(share.rank(i))};
        std::sort(all_, all_ + share.rows, [](const Place &a, const Place &b) { return a.row < b.row; });
        std::copy(all_, all_ + share.rows, running_);
        count_ = share.rows;
    }

    const float *x(int64_t i) const { return x_ + i * stride_; }
    // Where tiles may write what `scatter` writes in better order.
    float *unread() const { return unread_; }

    // Reads x of the first `owned` rows at a time.
    void gather(int64_t time, int64_t owned) {
        const float *from = cell_.x + time * cell_.x_step;
        int64_t kept = 0;
        for (int64_t k = 0; k < count_; ++k) {
            Place place = running_[k];
            running_[kept] = place;
            if (place.i >= owned) continue;
            ++kept;
            copy(x_ + place.i * stride_, from + place.row * cell_.x_row, cell_.shape.inputs);
        }
        count_ = kept;
    }

    // Writes y of all rows at a time: h of the first `owned`, zero for those that ended before.
    void scatter(int64_t time, int64_t owned, const float *h) const {
        float *to = cell_.y + time * cell_.y_step;
        for (int64_t k = 0; k < share_.rows; ++k) {
            Place place = all_[k];
            const float *from = place.i < owned ? h + share_.rank(place.i) * cell_.h_stride : zeros_;
            copy(to + place.row * cell_.y_row, from, cell_.shape.hidden);
        }
    }

private:
    static constexpr int64_t MAX_FLOATS = 64, MIN_ROWS = 32;

    struct Place {
        int64_t i, row;  // of this thread's rows, of the batch
    };

    static void copy(float *to, const float *from, int64_t count) {
        for (int64_t k = 0; k < count; k += LANES) store_part(to + k, load_part(from + k, count - k), count - k);
    }

    const gatesmith::CellForward &cell_;
    const gatesmith::Share &share_;
    float *x_;  // [rows][stride]
    int64_t stride_;
    float *zeros_, *unread_;
    Place *all_, *running_;
    int64_t count_;
};

}  // namespace GATESMITH_TARGET
