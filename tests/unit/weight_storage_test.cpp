// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file weight_storage_test.cpp
/// Weights of 16 bits in memory: every value widens exactly, layers keep their bits, and networks really take less room.
#include "../catch.hpp"
#include "../same_bits.hpp"

#include <kernels/simd/simd.hpp>
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/executor.hpp>
#include <splitdsl/runtime/safetensors_writer.hpp>
#include <splitdsl/runtime/weights.hpp>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

namespace {

namespace simd = splitdsl::kernels::simd;
using simd::lanes;
using simd::weight_storage;

std::mt19937& engine() {
    static std::mt19937 g(4711);
    return g;
}
/// A random finite value of a 16-bit form: all exponents, so subnormals and huge ones as well.
float narrow(weight_storage as) {
    for (;;) {
        const auto bits = static_cast<std::uint16_t>(engine()());
        const float x = as == weight_storage::f16 ? splitdsl::float_from_half(bits) : splitdsl::float_from_bfloat(bits);
        if (std::isfinite(x)) return x;
    }
}
std::vector<float> narrows(std::size_t n, weight_storage as) {
    std::vector<float> v(n);
    for (float& x : v) x = narrow(as);
    return v;
}
std::vector<float> uniforms(std::size_t n) {
    std::vector<float> v(n);
    for (float& x : v) x = std::uniform_real_distribution<float>(-1, 1)(engine());
    return v;
}
/// Values as a network's weights are, in f16 or bf16.
std::vector<float> layer_weights(std::size_t n, int inputs, weight_storage as) {
    std::vector<float> v = uniforms(n);
    for (float& x : v) {
        x /= std::sqrt(static_cast<float>(inputs));
        x = as == weight_storage::f16 ? splitdsl::float_from_half(splitdsl::half_from_float(x)) : splitdsl::float_from_bfloat(splitdsl::bfloat_from_float(x));
    }
    return v;
}

/// Both forms where there is code for them.
std::vector<weight_storage> narrow_forms() {
    return simd::has_narrow_weights ? std::vector{weight_storage::f16, weight_storage::bf16} : std::vector<weight_storage>{};
}

} // namespace

namespace {
template <class Half, class Bfloat>
void check_every_value() {
    if constexpr (simd::has_narrow_weights) {
        constexpr auto width = static_cast<std::size_t>(lanes);
        for (std::size_t first = 0; first < 65536; first += width) {
            Half halves[width];
            Bfloat bfloats[width];
            float from_halves[width], from_bfloats[width];
            for (std::size_t l = 0; l < width; ++l) halves[l].bits = bfloats[l].bits = static_cast<std::uint16_t>(first + l);
            simd::store(from_halves, simd::load(halves));
            simd::store(from_bfloats, simd::load(bfloats));
            for (std::size_t l = 0; l < width; ++l) {
                const float half = splitdsl::float_from_half(halves[l].bits), bfloat = splitdsl::float_from_bfloat(bfloats[l].bits);
                INFO(first + l);
                if (std::isfinite(half)) REQUIRE(std::memcmp(&half, from_halves + l, 4) == 0);
                if (std::isfinite(bfloat)) REQUIRE(std::memcmp(&bfloat, from_bfloats + l, 4) == 0);
            }
        }
    }
}
} // namespace

TEST_CASE("every finite value of 16 bits becomes its float, " SPLITDSL_ARCH_NAME) { check_every_value<simd::half_weight, simd::bfloat_weight>(); }

TEST_CASE("weights take 16 bits only if nothing of them is lost, " SPLITDSL_ARCH_NAME) {
    const auto many = static_cast<std::size_t>(simd::least_narrow_weights + 3000);
    const auto form = [](const std::vector<float>& v) { return simd::storage_of(v.data(), static_cast<std::ptrdiff_t>(v.size())); };
    const weight_storage f16 = simd::has_narrow_weights ? weight_storage::f16 : weight_storage::f32, bf16 = simd::has_narrow_weights ? weight_storage::bf16 : weight_storage::f32;
    CHECK(form(narrows(many, weight_storage::f16)) == f16);
    CHECK(form(narrows(many, weight_storage::bf16)) == bf16);
    CHECK(form(std::vector<float>(many, 0.0F)) == f16);
    CHECK(form(uniforms(many)) == weight_storage::f32);
    CHECK(form({}) == weight_storage::f32);
    CHECK(form(narrows(static_cast<std::size_t>(simd::least_narrow_weights), weight_storage::f16)) == (simd::least_narrow_weights > 0 ? f16 : weight_storage::f32));
    if (simd::least_narrow_weights > 0) CHECK(form(narrows(static_cast<std::size_t>(simd::least_narrow_weights - 1), weight_storage::f16)) == weight_storage::f32);
    // one value at a time, among zeros: the forms say the same as the codec's conversions
    std::vector<float> lone(many, 0.0F);
    const std::size_t place = many - 1;
    for (int k = 0; k < 20000 && simd::least_narrow_weights < 10; ++k) {
        const auto bits = static_cast<std::uint32_t>(k % 4 == 0 ? engine()() : k % 4 == 1 ? engine()() & 0xffffe000U : k % 4 == 2 ? engine()() & 0xffff0000U : 0x33000000U + (engine()() & 0x8fffe000U) % 0x6000000U);
        std::memcpy(&lone[place], &bits, 4);
        const float half = splitdsl::float_from_half(splitdsl::half_from_float(lone[place])), bfloat = splitdsl::float_from_bfloat(splitdsl::bfloat_from_float(lone[place]));
        const bool finite = std::isfinite(lone[place]);
        const weight_storage want = finite && std::memcmp(&half, &bits, 4) == 0 ? f16 : finite && std::memcmp(&bfloat, &bits, 4) == 0 ? bf16 : weight_storage::f32;
        INFO(lone[place]);
        REQUIRE(simd::storage_of(lone.data() + place - place % 7, static_cast<std::ptrdiff_t>(place % 7 + 1)) == want);
    }
    const float infinity = std::numeric_limits<float>::infinity(), not_a_number = std::numeric_limits<float>::quiet_NaN();
    // 1 + 2^-11 is one bit too long for f16, 2^-25 below its least subnormal, 65520 above its largest value; 2^16 and 2^-20 are bfloats
    for (const float odd : {1 + 0x1p-11F, 0x1p-25F + 0x1p-35F, 65520.0F, 0x1p-130F + 0x1p-149F, infinity, -infinity, not_a_number})
        for (const std::size_t at : {std::size_t{0}, many / 2, many - 1}) {
            auto halves = narrows(many, weight_storage::f16), bfloats = narrows(many, weight_storage::bf16);
            halves[0] = 1 + 0x1p-10F;     // no bfloat
            bfloats[0] = 0x1p100F;        // no half
            halves[at == 0 ? 1 : at] = bfloats[at == 0 ? 1 : at] = odd;
            INFO(odd << " at " << at);
            CHECK(form(halves) == weight_storage::f32);
            CHECK(form(bfloats) == weight_storage::f32);
        }
}

TEST_CASE("a dense layer has the same bits whichever form its weights take, " SPLITDSL_ARCH_NAME) {
    for (const weight_storage as : narrow_forms())
        for (const int inputs : {1, 2, 7, 8, 9, 31, 33, 300, 1030})
            for (const int outputs : {1, 3, 8, 9, 16, 17, 33, 64, 65, 100, 130}) {
                const simd::dense_shape s{inputs, outputs};
                const auto count = static_cast<std::size_t>(inputs * outputs);
                // f16's whole range; bfloats as layers have them: sums of their largest are infinite
                const auto weight = as == weight_storage::f16 ? narrows(count, as) : layer_weights(count, inputs, as);
                const auto shift = uniforms(static_cast<std::size_t>(outputs));
                const auto activation = static_cast<simd::activation>(engine()() % 8);
                const auto padded_in = static_cast<std::size_t>(simd::blocks_of(inputs) * lanes), padded_out = static_cast<std::size_t>(simd::blocks_of(outputs) * lanes);
                std::vector<float> wide(simd::dense_packed_floats(s)), packed(simd::dense_packed_floats(s, as) + 1, -1.5F);
                simd::pack_dense(s, weight_storage::f32, weight.data(), nullptr, shift.data(), wide.data());
                simd::pack_dense(s, as, weight.data(), nullptr, shift.data(), packed.data());
                REQUIRE(packed.back() == -1.5F);
                const auto addend = uniforms(padded_out);
                std::vector<std::vector<float>> in, want, got;
                std::vector<simd::frame_tensors> frames;
                const simd::epilogue then{activation, 0.1F, {addend.data(), lanes, lanes}};
                const simd::const_view from{nullptr, lanes, lanes};
                const simd::view to{nullptr, lanes, lanes};
                const int tasks = simd::dense_tasks(s);
                for (int f = 0; f < 3; ++f) {
                    in.push_back(uniforms(padded_in));
                    want.emplace_back(padded_out, 2.5F);
                    simd::dense(s, {in.back().data(), lanes, lanes}, {want.back().data(), lanes, lanes}, wide.data(), then, 0, tasks);
                }
                got.assign(3, std::vector<float>(padded_out, 2.5F));
                for (std::size_t f = 0; f < 3; ++f) frames.push_back({in[f].data(), got[f].data(), addend.data(), nullptr});
                simd::dense_frames(s, frames.data(), 3, from, to, packed.data(), then, 0, tasks);
                std::vector<float> alone(padded_out, 2.5F);
                for (int task = tasks - 1; task >= 0; --task) simd::dense(s, {in[0].data(), lanes, lanes}, {alone.data(), lanes, lanes}, packed.data(), then, task, task + 1);
                INFO("inputs " << inputs << " outputs " << outputs << " form " << static_cast<int>(as));
                REQUIRE(same_bits(alone, want[0]));
                for (std::size_t f = 0; f < 3; ++f) REQUIRE(same_bits(got[f], want[f]));
            }
}

namespace {

constexpr int features = 1024, classes = 17 * 64; // whole groups of blocks on every instruction set, and enough weights for all

template <int More>
struct classifier {
    static constexpr auto graph() {
        using namespace splitdsl;
        return input("x", f32, {.channels = 16, .height = 8, .width = 8}) | named("conv", conv(16, {.kernel = 3})) | relu() | flatten() | named("fc", dense(classes + More));
    }
};
struct with_norm {
    static constexpr auto graph() {
        using namespace splitdsl;
        return input("x", f32, features) | named("fc", dense(classes)) | named("bn", batch_norm());
    }
};

template <class Network>
std::vector<float> answers_of(const splitdsl::network_weights<Network>& weights, const std::vector<float>& x) {
    const splitdsl::pipeline& net = weights.net();
    const splitdsl::aligned_buffer arena{net.arena_bytes};
    std::vector<float> out(net.output_floats);
    const void* inputs[]{x.data()};
    REQUIRE(net.run({arena.data(), weights.bytes().data(), inputs, out.data()}, 0, net.stages, nullptr));
    return out;
}

} // namespace

TEST_CASE("a network of f16 or bf16 weights takes less memory and gives the bits of f32, " SPLITDSL_ARCH_NAME) {
    using namespace splitdsl;
    for (const weight_storage as : {weight_storage::f16, weight_storage::bf16}) {
        std::vector<std::vector<float>> values, one_more;
        for (const parameter& p : parameters<classifier<0>>()) values.push_back(layer_weights(static_cast<std::size_t>(p.size()), features, as));
        one_more = values;
        one_more[2].resize(static_cast<std::size_t>(features) * (classes + 1), 1 / 3.0F); // a row that no 16 bits hold: the layer stays f32
        one_more[3].resize(classes + 1);
        const network_weights<classifier<0>> narrow_ones{values};
        const network_weights<classifier<1>> wide_ones{one_more};
        const std::size_t saved = simd::has_narrow_weights ? std::size_t{2} * features * classes : 0;
        CHECK(narrow_ones.bytes().size() == narrow_ones.net().packed_bytes - saved);
        CHECK(wide_ones.bytes().size() == wide_ones.net().packed_bytes);
        const network_weights<classifier<0>> copy = narrow_ones;
        CHECK(copy.bytes().data() == narrow_ones.bytes().data());
        for (int k = 0; k < 3; ++k) {
            const auto x = uniforms(features);
            const auto got = answers_of(narrow_ones, x);
            auto want = answers_of(wide_ones, x);
            want.pop_back();
            CHECK(same_bits(got, want));
        }
    }
}

TEST_CASE("a file in F16 is the file in F32 that holds its values: same digest, same memory, same answers, " SPLITDSL_ARCH_NAME) {
    using namespace splitdsl;
    using network = classifier<0>;
    std::vector<std::vector<float>> values;
    std::vector<std::vector<std::uint16_t>> halves;
    std::vector<tensor_view> in_f32, in_f16;
    const auto names = parameters<network>();
    for (const parameter& p : names) {
        values.push_back(layer_weights(static_cast<std::size_t>(p.size()), features, weight_storage::f16));
        auto& h = halves.emplace_back();
        for (const float x : values.back()) h.push_back(half_from_float(x));
    }
    for (std::size_t i = 0; i < names.size(); ++i) {
        in_f32.push_back({names[i].name, tensor_type::float32, names[i].dims, bytes_of_floats(values[i])});
        in_f16.push_back({names[i].name, tensor_type::float16, names[i].dims, std::as_bytes(std::span{halves[i]})});
    }
    const auto wide_file = to_safetensors(in_f32), narrow_file = to_safetensors(in_f16);
    const network_weights<network> wide{match_weights<network>(parse_safetensors(wide_file), "f32")}, narrow{match_weights<network>(parse_safetensors(narrow_file), "f16")};
    CHECK(narrow.digest() == wide.digest());
    CHECK(narrow.bytes().size() == wide.bytes().size());
    const auto x = uniforms(features);
    CHECK(same_bits(answers_of(narrow, x), answers_of(wide, x)));
}

TEST_CASE("weights with a norm folded into them stay f32, and any weights fit into packed_bytes, " SPLITDSL_ARCH_NAME) {
    using namespace splitdsl;
    std::vector<std::vector<float>> values;
    std::vector<const float*> pointers;
    for (const parameter& p : parameters<with_norm>()) {
        values.push_back(layer_weights(static_cast<std::size_t>(p.size()), features, weight_storage::f16));
        for (float& x : values.back()) x = std::abs(x);
    }
    for (const auto& v : values) pointers.push_back(v.data());
    const pipeline& net = pipeline_of<with_norm>();
    CHECK(net.packed_bytes_for(pointers.data()) == net.packed_bytes);
}
