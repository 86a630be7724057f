// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_kernels_test.cpp
/// Device code alone, run by the host: the codec's bytes, dynamic pooling's coefficients, RoIAlign; the codec's also by this machine's own device.
#include "../catch.hpp"
#include "fake_device.hpp"
#include "own_device.hpp"

#include <splitdsl/codec/dynamic_pool_cells.hpp>
#include <splitdsl/codec/half.hpp>
#include <splitdsl/codec/tensor_codec.hpp>
#include <splitdsl/detect/roi_align.hpp>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <random>
#include <tuple>
#include <vector>

namespace {
using namespace splitdsl;
bool same_bits(const std::vector<float>& a, const std::vector<float>& b) { return a.size() == b.size() && std::memcmp(a.data(), b.data(), 4 * a.size()) == 0; }
} // namespace

namespace {
/// Runs kernels by the host, or by a device from pinned memory, which both see at one address.
class kernel_runner {
public:
    explicit kernel_runner(const kernels::cudnn::device* of = nullptr) : on{of} {
        if (on) stream.emplace(*on);
    }
    /// Where kernels find the values, until `fetch`.
    template <class T>
    T* place(std::vector<T>& v) {
        if (!on) return v.data();
        auto& [memory, from, bytes] = placed.emplace_back(kernels::cudnn::pinned_memory{*on, sizeof(T) * v.size()}, v.data(), sizeof(T) * v.size());
        std::memcpy(memory.data(), from, bytes);
        return reinterpret_cast<T*>(memory.data());
    }
    template <class Job>
    void run(kernels::cudnn::kernel k, Job job, int blocks) {
        using namespace kernels::cudnn;
        if (!on) return fake::run_kernel(name_of(k, element::f32).c_str(), &job, blocks);
        void* parameters[]{&job};
        on->expect(on->driver().launch(on->function(k, element::f32), static_cast<unsigned>(blocks), 1, 1, 256, 1, 1, 0, stream->get(), parameters, nullptr), "starting a kernel");
        on->expect(on->driver().wait(stream->get()), "waiting");
    }
    void fetch() {
        for (const auto& [memory, to, bytes] : placed) std::memcpy(to, memory.data(), bytes);
        placed.clear();
    }

private:
    const kernels::cudnn::device* on;
    std::optional<kernels::cudnn::device_stream> stream;
    std::vector<std::tuple<kernels::cudnn::pinned_memory, void*, std::size_t>> placed;
};

/// Runs the device's encoder of a codec on an interleaved tensor; `parts` blocks look for the range.
std::vector<std::byte> encoded_by(kernel_runner& runner, codec_id codec, std::vector<float> interleaved, int channels, int parts) {
    using namespace kernels::cudnn;
    const auto pixels = static_cast<long long>(interleaved.size()) / channels;
    std::vector<std::byte> bytes(encoded_bytes(codec, interleaved.size()));
    std::vector<int> partial(2 * static_cast<std::size_t>(parts));
    const device_tensor tensor = fake::packed(runner.place(interleaved), channels);
    auto* const to = reinterpret_cast<unsigned char*>(runner.place(bytes));
    const order_job order{tensor, to, 0, channels, pixels};
    const affine_job affine{tensor, to, 0, runner.place(partial), parts, channels, pixels, 0};
    if (codec == codec_id::float32) runner.run(kernel::to_planar, order, 1);
    if (codec == codec_id::float16) runner.run(kernel::encode_half, order, 1);
    if (codec == codec_id::affine8 || codec == codec_id::affine16) {
        runner.run(kernel::find_range, affine, parts);
        runner.run(codec == codec_id::affine8 ? kernel::quantise_u8 : kernel::quantise_u16, affine, 3);
    }
    runner.fetch();
    return bytes;
}

/// Many values by one scale, quotients beside every border between two levels included.
void compare_borders(kernel_runner& runner) {
    std::mt19937 engine(6);
    std::vector<float> scales{1.0F, 1.0F / 3.0F, std::nextafter(2.0F, 1.0F), std::nextafter(1.0F, 2.0F), std::numeric_limits<float>::min(), 1.1e-38F, 9e-25F, 1.1e-24F, 1e30F, 6e35F};
    for (int k = 0; k < 200; ++k) scales.push_back(std::bit_cast<float>((static_cast<std::uint32_t>(engine()) % 0x7d000000U) + 0x00800000U));
    for (const float scale : scales) {
        // The whole range of levels, and of each border the floats around it.
        std::vector<float> values{0, 255 * scale};
        for (int level = 0; level < 255; level += 3)
            for (const float at : {static_cast<float>(level) + 0.5F, static_cast<float>(level)}) {
                float x = at * scale;
                for (int n = 0; n < 3; ++n) x = std::nextafter(x, 0.0F);
                for (int n = 0; n < 7 && std::isfinite(x); ++n, x = std::nextafter(x, std::numeric_limits<float>::infinity())) values.push_back(x);
            }
        while (values.size() % 8 != 0) values.push_back(scale);
        if (!std::isfinite(values[1])) continue;
        INFO("scale " << scale);
        std::vector<std::byte> wanted(encoded_bytes(codec_id::affine8, values.size()));
        encode(codec_id::affine8, values.data(), values.size(), wanted.data());
        CHECK(encoded_by(runner, codec_id::affine8, values, 1, 2) == wanted);
    }
}

void compare_codecs(const kernels::cudnn::device* on) {
    kernel_runner runner{on};
    compare_borders(runner);
    const float inf = std::numeric_limits<float>::infinity(), nan = std::numeric_limits<float>::quiet_NaN(), most = std::numeric_limits<float>::max(), least = std::numeric_limits<float>::min();
    std::vector<std::vector<float>> tensors{{0}, {-0.0F, 0}, {3, 3, 3}, {-2, -2}, {inf, -inf, nan}, {nan, 1, -1, inf}, {most, -most, 1}, {least / 8, least / 16, 0}, {1e-30F, 2e-30F}, {most, most}, {-most},
                                            {0.5F, 1.5F, 2.5F, 254.5F, 255}, {65519.9F, 65520, 1e-8F, 6e-8F, 5.9e-8F, -1e-9F, 2.98e-8F, 2.981e-8F}};
    std::mt19937 engine(5);
    for (const float scale : {1e-3F, 1.0F, 1e4F, 1e37F})
        for (const std::size_t size : {15UL, 48UL, 1200UL}) {
            std::normal_distribution<float> normal(0.3F * scale, scale);
            std::vector<float> t(size);
            for (float& x : t) x = normal(engine);
            tensors.push_back(t);
            for (float& x : t) x = std::bit_cast<float>(static_cast<std::uint32_t>(engine()));
            tensors.push_back(t);
        }
    for (const auto& planar : tensors)
        for (const codec_id codec : {codec_id::float32, codec_id::float16, codec_id::affine8, codec_id::affine16})
            for (const int channels : {1, 3, 8}) {
                if (planar.size() % static_cast<std::size_t>(channels) != 0) continue;
                const std::size_t pixels = planar.size() / static_cast<std::size_t>(channels);
                std::vector<float> interleaved(planar.size());
                for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c)
                    for (std::size_t k = 0; k < pixels; ++k) std::memcpy(&interleaved[k * static_cast<std::size_t>(channels) + c], &planar[c * pixels + k], 4);
                std::vector<std::byte> wanted(encoded_bytes(codec, planar.size()));
                encode(codec, planar.data(), planar.size(), wanted.data());
                INFO("codec " << static_cast<int>(codec) << ", " << planar.size() << " values beginning with " << planar[0]);
                CHECK(encoded_by(runner, codec, interleaved, channels, 1) == wanted);
                CHECK(encoded_by(runner, codec, interleaved, channels, 5) == wanted);
            }
}
} // namespace

TEST_CASE("GPU: the codec's bytes are the CPU's, whatever the tensor holds") { compare_codecs(nullptr); }

TEST_CASE("GPU: on this machine's own device the codec's bytes are the CPU's, whatever the tensor holds") {
    if (auto& on = gpu_tests::own_device()) {
        on->use();
        compare_codecs(&*on);
    }
}

namespace {
/// To payload bytes and back, of values of one type: a slice of a tensor of `pixel` channels, the processor's bytes, and nothing written beside it.
template <class Stored>
void compare_wide(const char* type, codec_id codec, int channels, int pixel, long long pixels) {
    using namespace kernels::cudnn;
    const auto stored = [](float v) {
        if constexpr (sizeof(Stored) == 4) return v;
        else return half_from_float(v);
    };
    const auto value = [](Stored v) {
        if constexpr (sizeof(Stored) == 4) return v;
        else return float_from_half(v);
    };
    const std::size_t count = static_cast<std::size_t>(pixels * channels), wide = static_cast<std::size_t>(pixel), all = static_cast<std::size_t>(pixels);
    std::vector<Stored> tensor(all * wide, stored(1e4F)), back(tensor);
    std::vector<float> planar(count);
    for (std::size_t k = 0; k < all; ++k)
        for (std::size_t c = 0; c < static_cast<std::size_t>(channels); ++c) {
            const Stored v = stored(static_cast<float>((k * 7919 + c * 104729) % 65521) / 512 - 40);
            tensor[k * wide + c] = v;
            planar[c * all + k] = value(v);
        }
    std::vector<std::byte> wanted(encoded_bytes(codec, count)), got(wanted.size());
    encode(codec, planar.data(), count, wanted.data());
    std::vector<int> partial(8);
    const device_tensor from{tensor.data(), 0, pixel}, to{back.data(), 0, pixel};
    auto* const bytes = reinterpret_cast<unsigned char*>(got.data());
    const auto run = [type](const char* name, const auto& job, int blocks) { fake::run_kernel((std::string(name) + type).c_str(), &job, blocks); };
    INFO("codec " << static_cast<int>(codec) << type << ", " << channels << " of " << pixel << " channels, " << pixels << " pixels");
    const affine_job leaves{from, bytes, 0, partial.data(), 4, channels, pixels, 0}, enters{to, bytes, 0, nullptr, 0, channels, pixels, 0};
    const order_job ordered{from, bytes, 0, channels, pixels}, restored{to, bytes, 0, channels, pixels};
    if (codec == codec_id::affine8) run("find_range", leaves, 4), run("quantise_u8", leaves, 3), run("dequantise_u8", enters, 3);
    if (codec == codec_id::affine16) run("find_range", leaves, 4), run("quantise_u16", leaves, 3), run("dequantise_u16", enters, 3);
    if (codec == codec_id::float16) run("encode_half", ordered, 3), run("decode_half", restored, 3);
    if (codec == codec_id::float32) run("to_planar", ordered, 3), run("from_planar", restored, 3);
    CHECK(got == wanted);
    CHECK(decode(codec, wanted.data(), wanted.size(), planar.data(), count));
    bool is_same = true;
    for (std::size_t k = 0; k < all; ++k)
        for (std::size_t c = 0; c < wide; ++c) {
            const Stored v = c < static_cast<std::size_t>(channels) ? stored(planar[c * all + k]) : stored(1e4F);
            is_same = is_same && std::memcmp(&back[k * wide + c], &v, sizeof v) == 0;
        }
    CHECK(is_same);
}
} // namespace

TEST_CASE("GPU: payloads of eights of channels, of many values and of few, of slices and of whole tensors, have the CPU's bytes, and come back to their places") {
    for (const codec_id codec : {codec_id::float32, codec_id::float16, codec_id::affine8, codec_id::affine16})
        for (const int channels : {8, 12, 16, 24, 48})
            for (const int more : {0, 8}) {
                compare_wide<float>("_f32", codec, channels, channels + more, 77);
                compare_wide<std::uint16_t>("_f16", codec, channels, channels + more, 77);
            }
    for (const codec_id codec : {codec_id::float16, codec_id::affine8}) compare_wide<std::uint16_t>("_f16", codec, 16, 16, (1 << 16) + 5);
}

TEST_CASE("GPU: dynamic pooling's coefficients are the CPU's in both forms, over several octaves and maps that are not square") {
    using namespace kernels::cudnn;
    std::mt19937 engine(3);
    for (const pool_shape shape : {pool_shape{3, 24, 24, 8}, pool_shape{8, 24, 24, 8}, pool_shape{2, 16, 40, 8}, pool_shape{1, 8, 8, 4}})
        for (const float centre : {0.0F, 2.0F, -3.0F}) {
            const int longer = std::max(shape.height, shape.width) / shape.stride;
            const pool_ladder l = pool_ladder_of(shape, {.smallest = longer, .largest = shape.stride >= 8 ? 4 * longer - 1 : 2 * longer, .step = 1});
            REQUIRE(l.levels > 0);
            const auto channels = static_cast<std::size_t>(shape.channels), pixels = static_cast<std::size_t>(shape.height) * static_cast<std::size_t>(shape.width);
            std::normal_distribution<float> normal(centre, 1);
            std::vector<float> planar(channels * pixels), interleaved(planar.size());
            for (float& x : planar) x = centre > 0 ? std::max(0.0F, normal(engine)) : normal(engine);
            for (std::size_t c = 0; c < channels; ++c)
                for (std::size_t k = 0; k < pixels; ++k) interleaved[k * channels + c] = planar[c * pixels + k];
            const std::size_t patches = static_cast<std::size_t>(l.half_rows()) * static_cast<std::size_t>(l.half_columns());
            std::vector<float> means(channels * patches), wanted(means.size()), sums(static_cast<std::size_t>(shape.width));
            const patch_job pool{fake::packed(interleaved.data(), shape.channels), means.data(), shape.channels, l.half_rows(), l.half_columns(), l.half_stride()};
            fake::run_kernel("pool_patches_f32", &pool);
            for (std::size_t c = 0; c < channels; ++c)
                splitdsl::detail::patch_means(planar.data() + c * pixels, l.half_rows(), l.half_columns(), l.half_stride(), wanted.data() + c * patches, sums.data());
            REQUIRE(same_bits(means, wanted));
            const affine_parameters q = pool_parameters_of(splitdsl::detail::range_in_blocks(wanted.data(), wanted.size()));
            std::vector<int> partial(6);
            int parameters[2]{};
            std::vector<short> levels(means.size());
            const affine_job range{fake::packed(means.data(), 1), nullptr, 0, partial.data(), 3, 1, static_cast<long long>(means.size()), 0};
            fake::run_kernel("find_range_f32", &range, 3);
            const patch_levels_job level{means.data(), levels.data(), static_cast<long long>(means.size()), partial.data(), 3, parameters};
            fake::run_kernel("level_patches", &level);
            CHECK(std::bit_cast<float>(parameters[0]) == q.scale);
            CHECK(parameters[1] == q.zero_point);
            std::vector<std::int16_t> levels_wanted(patches);
            for (const pool_form form : {pool_form::lifted, pool_form::means}) {
                const short* quarters = levels.data();
                const float* finer = means.data();
                long long step = static_cast<long long>(patches);
                std::vector<std::vector<short>> kept;
                std::vector<std::vector<float>> kept_means;
                std::vector<std::vector<std::int16_t>> before(channels);
                std::vector<std::vector<float>> before_means(channels);
                for (std::size_t c = 0; c < channels; ++c) {
                    before[c].resize(patches);
                    splitdsl::detail::quantise_patches(wanted.data() + c * patches, patches, q, before[c].data());
                    before_means[c].assign(wanted.begin() + static_cast<std::ptrdiff_t>(c * patches), wanted.begin() + static_cast<std::ptrdiff_t>((c + 1) * patches));
                }
                for (int o = l.octaves - 1; o >= 0; --o) {
                    const int rows = l.cell_rows(o), columns = l.cell_columns(o);
                    const std::size_t cells = static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
                    std::vector<std::uint8_t> row_level, column_level;
                    std::vector<std::int16_t> row_wise;
                    for (int r = 0; r < rows; ++r) row_level.push_back(static_cast<std::uint8_t>(l.level_of_row(o, r))), row_wise.push_back(static_cast<std::int16_t>(l.first_row_wise(r)));
                    for (int c = 0; c < columns; ++c) column_level.push_back(static_cast<std::uint8_t>(l.level_of_column(o, c)));
                    std::vector<short>& planes = kept.emplace_back(4 * cells * channels);
                    std::vector<float>& whole = kept_means.emplace_back(cells * channels);
                    const octave_job job{quarters, finer, whole.data(), planes.data(), planes.data() + cells, planes.data() + 2 * cells, planes.data() + 3 * cells, nullptr, row_wise.data(), row_level.data(),
                                         column_level.data(), parameters, shape.channels, rows, columns, step, static_cast<long long>(cells), static_cast<long long>(4 * cells)};
                    fake::run_kernel(form == pool_form::lifted ? "lift_cells" : "average_cells", &job);
                    for (std::size_t c = 0; c < channels; ++c) {
                        std::vector<std::int16_t> here(4 * cells);
                        std::vector<float> coarser(cells);
                        const splitdsl::detail::octave_view v{rows, columns, here.data(), here.data() + cells, here.data() + 2 * cells, here.data() + 3 * cells, row_level.data(), column_level.data(), row_wise.data()};
                        if (form == pool_form::lifted) splitdsl::detail::lift_octave(before[c].data(), v);
                        else splitdsl::detail::average_octave(before_means[c].data(), v, q, coarser.data());
                        CHECK(std::memcmp(here.data(), planes.data() + c * 4 * cells, 8 * cells) == 0);
                        if (form == pool_form::means) CHECK(std::memcmp(coarser.data(), whole.data() + c * cells, 4 * cells) == 0);
                        before[c].assign(here.begin(), here.begin() + static_cast<std::ptrdiff_t>(cells));
                        before_means[c] = coarser;
                    }
                    quarters = planes.data();
                    finer = whole.data();
                    step = form == pool_form::lifted ? static_cast<long long>(4 * cells) : static_cast<long long>(cells);
                }
            }
        }
}

TEST_CASE("GPU: RoIAlign samples where the CPU's does") {
    using namespace kernels::cudnn;
    std::mt19937 engine(4);
    std::uniform_real_distribution<float> anywhere(-40, 200), value(-1, 1);
    const int channels = 3, height = 11, width = 17;
    std::vector<float> planar(static_cast<std::size_t>(channels * height * width));
    for (float& x : planar) x = value(engine);
    std::vector<int> places;
    for (int r = 0; r < 20; ++r) places.push_back(7 * r % 20);
    std::vector<float> boxes;
    for (int r = 0; r < 20; ++r)
        for (int k = 0; k < 4; ++k) boxes.push_back(anywhere(engine));
    for (const bool aligned : {false, true}) {
        std::vector<float> got(20 * 3 * 49), wanted(got.size());
        const region_job job{planar.data(), got.data(), boxes.data(), places.data(), 20, channels, height, width, 20, 7, 7, 2, aligned, 0.0625F};
        fake::run_kernel("align_regions", &job);
        detect::roi_align align(7, 2, aligned);
        for (std::size_t r = 0; r < 20; ++r)
            align({planar.data(), channels, height, width, 0.0625F}, {boxes[4 * r], boxes[4 * r + 1], boxes[4 * r + 2], boxes[4 * r + 3]}, wanted.data() + places[r], 20);
        for (std::size_t i = 0; i < got.size(); ++i) CHECK(std::abs(got[i] - wanted[i]) <= 1e-5F);
    }
}
