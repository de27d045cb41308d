#include <algorithm>
#include <atomic>
#include <cstring>

#include "lowrank.h"
#include "parallel.h"

namespace laxity {
namespace {

constexpr int64_t kSegment = 512;  // pixels of a row that are quantised together

// For levels without a function of their own.
bool quantise_pixels(const Level& level, const float* x, int64_t pixel_stride, int64_t channel_stride, int64_t pixels,
                     int64_t channels, const Quantiser& q, const MappedTerm* terms, int64_t count) {
  thread_local Buffer memory;
  uint8_t* line = memory.get<uint8_t>(std::max(pixels, channels) + kSlack);
  bool finite = true;
  if (channel_stride == 1) {
    for (int64_t p = 0; p < pixels; ++p) {
      finite &= level.quantise(x + p * pixel_stride, 1, channels, q, line);
      for (int64_t t = 0; t < count; ++t)
        for (int64_t c = 0; c < channels; ++c) terms[t].out[p * terms[t].pitch + c] = terms[t].map[line[c]];
    }
  } else {
    for (int64_t c = 0; c < channels; ++c) {
      finite &= level.quantise(x + c * channel_stride, pixel_stride, pixels, q, line);
      for (int64_t t = 0; t < count; ++t)
        for (int64_t p = 0; p < pixels; ++p) terms[t].out[p * terms[t].pitch + c] = terms[t].map[line[p]];
    }
  }
  for (int64_t c = channels; c % kQuad != 0; ++c)
    for (int64_t t = 0; t < count; ++t)
      for (int64_t p = 0; p < pixels; ++p) terms[t].out[p * terms[t].pitch + c] = 0;
  return finite;
}

class Writer {
 public:
  Writer(const Geometry& g, const float* x, const Quantiser& q, const LowrankOperand& operand, const Level& level,
         Buffer& memory, LowrankImage& image)
      : g_(g), x_(x), q_(q), level_(level), image_(image), maps_(operand.maps) {
    const int64_t channels = (g.inputs_per_group() + kQuad - 1) / kQuad * kQuad;
    const int64_t pixels = image.sample * g.batch;
    int64_t bytes = 0;
    for (const Bundle& bundle : operand.bundles) bytes += (pixels * bundle.terms * channels + 63) / 64 * 64;
    uint8_t* data = memory.get<uint8_t>(bytes + kSlack);
    for (const Bundle& bundle : operand.bundles) {
      const int64_t pitch = bundle.terms * channels;
      for (int64_t t = 0; t < bundle.terms; ++t) terms_.push_back({data + t * channels, pitch});
      image.parts.push_back({data, pitch});
      parts_.push_back(data);
      data += (pixels * pitch + 63) / 64 * 64;
    }
    if (image.plane != g.in[0] * g.in[1] * g.in[2]) fill_padding(channels);
  }

  // Segment `segment` of a row of the padded image; z and y are padded coordinates.
  bool row(int64_t b, int64_t group, int64_t z, int64_t y, int64_t segment, std::vector<MappedTerm>& scratch) const {
    const int64_t first = b * image_.sample + group * image_.plane + z * image_.slice + y * image_.row;
    z -= g_.before[0];
    y -= g_.before[1];
    const bool outside = z < 0 || z >= g_.in[0] || y < 0 || y >= g_.in[1];
    if (segment == 0) {
      if (outside) {
        pad(first, image_.row);
      } else {
        pad(first, g_.before[2]);
        pad(first + g_.before[2] + g_.in[2], g_.after[2]);
      }
    }
    const int64_t from = segment * kSegment, count = std::min(kSegment, g_.in[2] - from);
    if (outside || count <= 0) return true;
    const float* source = x_ + b * g_.x_stride[0] + group * g_.inputs_per_group() * g_.x_stride[1] +
                          z * g_.x_stride[2] + y * g_.x_stride[3] + from * g_.x_stride[4];
    return quantise(source, first + g_.before[2] + from, count, scratch);
  }

 private:
  struct Place {
    uint8_t* data;  // of the term's first channel in the first pixel
    int64_t pitch;
  };

  // Positions outside the input hold what zero is mapped to.
  void fill_padding(int64_t channels) {
    const float zero = q_.zero < q_.low ? q_.low : q_.zero > q_.high ? q_.high : q_.zero;
    const uint8_t index = q_.encode(static_cast<int>(zero));
    const uint8_t* map = maps_;
    for (const LowrankImage::Part& part : image_.parts) {
      std::vector<uint8_t> line(image_.row * part.pitch);
      for (int64_t at = 0; channels > 0 && at < part.pitch; at += channels, map += 256)
        for (int64_t p = 0; p < image_.row; ++p) std::memset(line.data() + p * part.pitch + at, map[index], channels);
      padding_.push_back(std::move(line));
    }
  }

  void pad(int64_t pixel, int64_t count) const {
    if (count == 0) return;
    for (size_t j = 0; j < parts_.size(); ++j) {
      const int64_t pitch = image_.parts[j].pitch;
      if (pitch > 0) std::memcpy(parts_[j] + pixel * pitch, padding_[j].data(), count * pitch);
    }
  }

  bool quantise(const float* from, int64_t pixel, int64_t pixels, std::vector<MappedTerm>& scratch) const {
    scratch.clear();
    for (size_t t = 0; t < terms_.size(); ++t)
      scratch.push_back({maps_ + 256 * t, terms_[t].data + pixel * terms_[t].pitch, terms_[t].pitch});
    const int64_t channels = g_.inputs_per_group(), count = static_cast<int64_t>(scratch.size());
    if (level_.lowrank.quantise)
      return level_.lowrank.quantise(from, g_.x_stride[4], g_.x_stride[1], pixels, channels, q_, scratch.data(), count);
    return quantise_pixels(level_, from, g_.x_stride[4], g_.x_stride[1], pixels, channels, q_, scratch.data(), count);
  }

  const Geometry& g_;
  const float* x_;
  const Quantiser& q_;
  const Level& level_;
  const LowrankImage& image_;
  const uint8_t* maps_;
  std::vector<uint8_t*> parts_;
  std::vector<Place> terms_;
  std::vector<std::vector<uint8_t>> padding_;  // a padded row of every part
};

}  // namespace

bool make_lowrank_image(const Geometry& g, const float* x, const Quantiser& q, const LowrankOperand& operand,
                        int threads, const Level& level, Buffer& memory, LowrankImage& image) {
  image.row = g.padded(2);
  image.slice = image.row * g.padded(1);
  image.plane = image.slice * g.padded(0);
  image.sample = image.plane * g.groups;
  const Writer writer(g, x, q, operand, level, memory, image);
  const int64_t segments = std::max<int64_t>(1, (g.in[2] + kSegment - 1) / kSegment);
  const int64_t rows = g.batch * g.groups * g.padded(0) * g.padded(1), units = rows * segments;
  const int64_t step = std::max<int64_t>(1, units / (8 * std::max(1, threads)));
  std::atomic<bool> finite{true};
  parallel_for(threads, (units + step - 1) / step, [&](int, int64_t task) {
    std::vector<MappedTerm> scratch;
    for (int64_t unit = task * step; unit < std::min(units, (task + 1) * step); ++unit) {
      const int64_t segment = unit % segments, row = unit / segments;
      const int64_t y = row % g.padded(1), z = row / g.padded(1) % g.padded(0);
      const int64_t plane = row / (g.padded(1) * g.padded(0));
      if (!writer.row(plane / g.groups, plane % g.groups, z, y, segment, scratch)) finite = false;
    }
  });
  return finite;
}

}  // namespace laxity
