// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file reference.hpp
/// Every word as plain loops over planar (channels, height, width) floats: the definition of correct.
///
/// Sums run in double and are rounded once, so these are at least as accurate as any fast kernel. Usable without the language.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <vector>

namespace splitdsl::kernels::reference {

/// A planar image: (channels, height, width).
struct planar {
    int channels{}, height{}, width{};
    std::vector<float> data;
    planar() = default;
    planar(int c, int h, int w) : channels(c), height(h), width(w), data(static_cast<std::size_t>(c) * static_cast<std::size_t>(h) * static_cast<std::size_t>(w)) {}
    float& at(int c, int y, int x) { return data[(static_cast<std::size_t>(c) * static_cast<std::size_t>(height) + static_cast<std::size_t>(y)) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)]; }
    float at(int c, int y, int x) const { return data[(static_cast<std::size_t>(c) * static_cast<std::size_t>(height) + static_cast<std::size_t>(y)) * static_cast<std::size_t>(width) + static_cast<std::size_t>(x)]; }
    bool inside(int y, int x) const { return y >= 0 && x >= 0 && y < height && x < width; }
};

struct window {
    int kernel_h{1}, kernel_w{1}, stride_h{1}, stride_w{1}, top{}, left{}, dilation_h{1}, dilation_w{1}, groups{1};
};

/// weight (out, in / groups, kh, kw); bias (out) or null.
inline planar conv(const planar& in, int out_channels, int out_h, int out_w, const window& w, const float* weight, const float* bias) {
    planar out(out_channels, out_h, out_w);
    const int per_group = in.channels / w.groups, out_per_group = out_channels / w.groups;
    for (int o = 0; o < out_channels; ++o)
        for (int y = 0; y < out_h; ++y)
            for (int x = 0; x < out_w; ++x) {
                double sum = bias ? static_cast<double>(bias[o]) : 0.0;
                for (int c = 0; c < per_group; ++c)
                    for (int i = 0; i < w.kernel_h; ++i)
                        for (int j = 0; j < w.kernel_w; ++j) {
                            const int yy = y * w.stride_h - w.top + i * w.dilation_h, xx = x * w.stride_w - w.left + j * w.dilation_w;
                            if (!in.inside(yy, xx)) continue;
                            const std::size_t k = ((static_cast<std::size_t>(o) * static_cast<std::size_t>(per_group) + static_cast<std::size_t>(c)) * static_cast<std::size_t>(w.kernel_h) + static_cast<std::size_t>(i)) * static_cast<std::size_t>(w.kernel_w) + static_cast<std::size_t>(j);
                            sum += static_cast<double>(in.at(o / out_per_group * per_group + c, yy, xx)) * static_cast<double>(weight[k]);
                        }
                out.at(o, y, x) = static_cast<float>(sum);
            }
    return out;
}

/// weight (in, out, kh, kw); bias (out) or null.
inline planar conv_transpose(const planar& in, int out_channels, int out_h, int out_w, const window& w, const float* weight, const float* bias) {
    planar out(out_channels, out_h, out_w);
    for (int o = 0; o < out_channels; ++o)
        for (int y = 0; y < out_h; ++y)
            for (int x = 0; x < out_w; ++x) {
                double sum = bias ? static_cast<double>(bias[o]) : 0.0;
                for (int i = 0; i < w.kernel_h; ++i)
                    for (int j = 0; j < w.kernel_w; ++j) {
                        const int yy = y + w.top - i * w.dilation_h, xx = x + w.left - j * w.dilation_w;
                        if (yy % w.stride_h != 0 || xx % w.stride_w != 0 || !in.inside(yy / w.stride_h, xx / w.stride_w) || yy < 0 || xx < 0) continue;
                        for (int c = 0; c < in.channels; ++c) {
                            const std::size_t k = ((static_cast<std::size_t>(c) * static_cast<std::size_t>(out_channels) + static_cast<std::size_t>(o)) * static_cast<std::size_t>(w.kernel_h) + static_cast<std::size_t>(i)) * static_cast<std::size_t>(w.kernel_w) + static_cast<std::size_t>(j);
                            sum += static_cast<double>(in.at(c, yy / w.stride_h, xx / w.stride_w)) * static_cast<double>(weight[k]);
                        }
                    }
                out.at(o, y, x) = static_cast<float>(sum);
            }
    return out;
}

/// weight (units, in); bias (units) or null. Reads the image in (channel, row, column) order.
inline planar dense(const planar& in, int units, const float* weight, const float* bias) {
    planar out(units, 1, 1);
    for (int o = 0; o < units; ++o) {
        double sum = bias ? static_cast<double>(bias[o]) : 0.0;
        for (std::size_t i = 0; i < in.data.size(); ++i) sum += static_cast<double>(in.data[i]) * static_cast<double>(weight[static_cast<std::size_t>(o) * in.data.size() + i]);
        out.data[static_cast<std::size_t>(o)] = static_cast<float>(sum);
    }
    return out;
}

inline planar batch_norm(planar x, const float* weight, const float* bias, const float* mean, const float* variance, float epsilon) {
    for (int c = 0; c < x.channels; ++c) {
        const double scale = static_cast<double>(weight[c]) / std::sqrt(static_cast<double>(variance[c]) + static_cast<double>(epsilon));
        for (int y = 0; y < x.height; ++y)
            for (int k = 0; k < x.width; ++k) x.at(c, y, k) = static_cast<float>((static_cast<double>(x.at(c, y, k)) - static_cast<double>(mean[c])) * scale + static_cast<double>(bias[c]));
    }
    return x;
}

enum class pooling { maximum, average };
inline planar pool(const planar& in, pooling how, int out_h, int out_w, const window& w, int bottom, int right, bool count_include_pad) {
    planar out(in.channels, out_h, out_w);
    for (int c = 0; c < in.channels; ++c)
        for (int y = 0; y < out_h; ++y)
            for (int x = 0; x < out_w; ++x) {
                const int y0 = y * w.stride_h - w.top, x0 = x * w.stride_w - w.left;
                double sum = 0, best = -std::numeric_limits<double>::infinity();
                int count = 0;
                for (int i = 0; i < w.kernel_h; ++i)
                    for (int j = 0; j < w.kernel_w; ++j) {
                        if (!in.inside(y0 + i, x0 + j)) continue;
                        const double v = static_cast<double>(in.at(c, y0 + i, x0 + j));
                        sum += v;
                        best = std::max(best, v);
                        ++count;
                    }
                if (count_include_pad)      // PyTorch counts the padding, but not what ceil mode adds beyond it
                    count = (std::min(y0 + w.kernel_h, in.height + bottom) - y0) * (std::min(x0 + w.kernel_w, in.width + right) - x0);
                out.at(c, y, x) = static_cast<float>(how == pooling::maximum ? best : sum / count);
            }
    return out;
}

inline planar global_pool(const planar& in) {
    planar out(in.channels, 1, 1);
    for (int c = 0; c < in.channels; ++c) {
        double sum = 0;
        for (int y = 0; y < in.height; ++y)
            for (int x = 0; x < in.width; ++x) sum += static_cast<double>(in.at(c, y, x));
        out.data[static_cast<std::size_t>(c)] = static_cast<float>(sum / in.height / in.width);
    }
    return out;
}

/// Sampling positions as PyTorch's `interpolate(size=...)`.
inline planar upsample(const planar& in, int out_h, int out_w, bool bilinear, bool align_corners) {
    planar out(in.channels, out_h, out_w);
    const auto ratio = [&](int from, int to) {
        if (bilinear && align_corners) return to > 1 ? static_cast<float>(from - 1) / static_cast<float>(to - 1) : 0.0F;
        return static_cast<float>(from) / static_cast<float>(to);
    };
    const float rh = ratio(in.height, out_h), rw = ratio(in.width, out_w);
    const auto source = [&](float scale, int at) { return align_corners ? static_cast<double>(scale) * at : std::max(0.0, static_cast<double>(scale) * (at + 0.5) - 0.5); };
    for (int c = 0; c < in.channels; ++c)
        for (int y = 0; y < out_h; ++y)
            for (int x = 0; x < out_w; ++x) {
                if (!bilinear) {
                    out.at(c, y, x) = in.at(c, std::min(static_cast<int>(static_cast<float>(y) * rh), in.height - 1), std::min(static_cast<int>(static_cast<float>(x) * rw), in.width - 1));
                    continue;
                }
                const double sy = source(rh, y), sx = source(rw, x);
                const int y0 = std::min(static_cast<int>(sy), in.height - 1), x0 = std::min(static_cast<int>(sx), in.width - 1);
                const int y1 = std::min(y0 + 1, in.height - 1), x1 = std::min(x0 + 1, in.width - 1);
                const double fy = sy - y0, fx = sx - x0;
                out.at(c, y, x) = static_cast<float>((1 - fy) * ((1 - fx) * static_cast<double>(in.at(c, y0, x0)) + fx * static_cast<double>(in.at(c, y0, x1))) +
                                                     fy * ((1 - fx) * static_cast<double>(in.at(c, y1, x0)) + fx * static_cast<double>(in.at(c, y1, x1))));
            }
    return out;
}

inline planar pad(const planar& in, int top, int left, int bottom, int right, float value) {
    planar out(in.channels, in.height + top + bottom, in.width + left + right);
    for (int c = 0; c < out.channels; ++c)
        for (int y = 0; y < out.height; ++y)
            for (int x = 0; x < out.width; ++x) out.at(c, y, x) = in.inside(y - top, x - left) ? in.at(c, y - top, x - left) : value;
    return out;
}

inline planar pad_channels(const planar& in, int before, int after) {
    planar out(in.channels + before + after, in.height, in.width);
    for (int c = 0; c < in.channels; ++c)
        for (int y = 0; y < out.height; ++y)
            for (int x = 0; x < out.width; ++x) out.at(before + c, y, x) = in.at(c, y, x);
    return out;
}

inline planar slice_channels(const planar& in, int first, int count) {
    planar out(count, in.height, in.width);
    for (int c = 0; c < count; ++c)
        for (int y = 0; y < out.height; ++y)
            for (int x = 0; x < out.width; ++x) out.at(c, y, x) = in.at(first + c, y, x);
    return out;
}

/// weight (channels).
inline planar l2_normalise(planar in, const float* weight, float epsilon) {
    for (int y = 0; y < in.height; ++y)
        for (int x = 0; x < in.width; ++x) {
            double sum = 0;
            for (int c = 0; c < in.channels; ++c) sum += static_cast<double>(in.at(c, y, x)) * static_cast<double>(in.at(c, y, x));
            const double length = std::max(std::sqrt(sum), static_cast<double>(epsilon));
            for (int c = 0; c < in.channels; ++c) in.at(c, y, x) = static_cast<float>(static_cast<double>(in.at(c, y, x)) / length * static_cast<double>(weight[c]));
        }
    return in;
}

/// Channels (cardinality, radix, C') to (radix, cardinality, C').
inline planar radix_softmax(const planar& in, int radix, int cardinality) {
    planar out(in.channels, in.height, in.width);
    const int each = in.channels / radix / cardinality;
    for (int g = 0; g < cardinality; ++g)
        for (int c = 0; c < each; ++c)
            for (int y = 0; y < in.height; ++y)
                for (int x = 0; x < in.width; ++x) {
                    const auto value = [&](int r) { return static_cast<double>(in.at((g * radix + r) * each + c, y, x)); };
                    double best = -std::numeric_limits<double>::infinity(), sum = 0;
                    for (int r = 0; r < radix; ++r) best = std::max(best, value(r));
                    for (int r = 0; r < radix; ++r) sum += std::exp(value(r) - best);
                    for (int r = 0; r < radix; ++r) out.at((r * cardinality + g) * each + c, y, x) = static_cast<float>(std::exp(value(r) - best) / sum);
                }
    return out;
}

/// gamma (channels, channels); beta (channels).
inline planar gdn(const planar& in, const float* gamma, const float* beta, bool squared, bool inverse) {
    planar out(in.channels, in.height, in.width);
    for (int c = 0; c < in.channels; ++c)
        for (int y = 0; y < in.height; ++y)
            for (int x = 0; x < in.width; ++x) {
                double d = static_cast<double>(beta[c]);
                for (int k = 0; k < in.channels; ++k) {
                    const double v = static_cast<double>(in.at(k, y, x));
                    d += static_cast<double>(gamma[static_cast<std::size_t>(c) * static_cast<std::size_t>(in.channels) + static_cast<std::size_t>(k)]) * (squared ? v * v : std::abs(v));
                }
                if (squared) d = std::sqrt(d);
                out.at(c, y, x) = static_cast<float>(inverse ? static_cast<double>(in.at(c, y, x)) * d : static_cast<double>(in.at(c, y, x)) / d);
            }
    return out;
}

inline planar subsample(const planar& in, int every_h, int every_w) {
    planar out(in.channels, (in.height + every_h - 1) / every_h, (in.width + every_w - 1) / every_w);
    for (int c = 0; c < out.channels; ++c)
        for (int y = 0; y < out.height; ++y)
            for (int x = 0; x < out.width; ++x) out.at(c, y, x) = in.at(c, y * every_h, x * every_w);
    return out;
}

inline planar add(planar x, const planar& y) {
    for (std::size_t i = 0; i < x.data.size(); ++i) x.data[i] += y.data[i];
    return x;
}
/// y: the same shape, or (channels, 1, 1).
inline planar multiply(planar x, const planar& y) {
    const bool broadcast = y.data.size() != x.data.size();
    for (int c = 0; c < x.channels; ++c)
        for (int i = 0; i < x.height; ++i)
            for (int j = 0; j < x.width; ++j) x.at(c, i, j) *= broadcast ? y.data[static_cast<std::size_t>(c)] : y.at(c, i, j);
    return x;
}
inline planar concat(const planar& x, const planar& y) {
    planar out(x.channels + y.channels, x.height, x.width);
    std::copy(x.data.begin(), x.data.end(), out.data.begin());
    std::copy(y.data.begin(), y.data.end(), out.data.begin() + static_cast<std::ptrdiff_t>(x.data.size()));
    return out;
}
inline planar softmax(planar x) {
    for (int y = 0; y < x.height; ++y)
        for (int k = 0; k < x.width; ++k) {
            double best = -std::numeric_limits<double>::infinity(), sum = 0;
            for (int c = 0; c < x.channels; ++c) best = std::max(best, static_cast<double>(x.at(c, y, k)));
            for (int c = 0; c < x.channels; ++c) sum += std::exp(static_cast<double>(x.at(c, y, k)) - best);
            for (int c = 0; c < x.channels; ++c) x.at(c, y, k) = static_cast<float>(std::exp(static_cast<double>(x.at(c, y, k)) - best) / sum);
        }
    return x;
}

inline float relu(float x) { return x > 0 ? x : 0; }
inline float relu6(float x) { return std::min(std::max(x, 0.0F), 6.0F); }
inline float leaky_relu(float x, float slope) { return x > 0 ? x : slope * x; }
inline float hard_sigmoid(float x) { return relu6(x + 3) / 6; }
inline float hard_swish(float x) { return x * relu6(x + 3) / 6; }
inline float sigmoid(float x) { return static_cast<float>(1 / (1 + std::exp(-static_cast<double>(x)))); }
inline float tanh(float x) { return static_cast<float>(std::tanh(static_cast<double>(x))); }

} // namespace splitdsl::kernels::reference
