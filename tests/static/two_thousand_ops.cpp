// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file two_thousand_ops.cpp
/// 2,000 ops with deep names stay within half of clang's default limit of constexpr steps, pass by pass.
/// The build compiles this file with -fconstexpr-steps=524288 on clang.
#include <splitdsl/language.hpp>

using namespace splitdsl;

struct two_thousand_ops {
    static constexpr auto cbr(text conv_name, text norm_name, int channels, int kernel) {
        return named(conv_name, conv(channels, {.kernel = kernel})) | named(norm_name, batch_norm()) | relu();
    }
    static constexpr auto unit(int channels) {          // 10 ops
        return residual(cbr("reduce_convolution", "reduce_normalisation", channels / 4, 1) | cbr("spatial_convolution", "spatial_normalisation", channels / 4, 3) |
                        named("expand_convolution", conv(channels, {.kernel = 1})) | named("expand_normalisation", batch_norm())) |
               relu();
    }
    static constexpr auto layer(text name) {            // 500 ops
        return named("backbone", named(name, repeat<50>([](int i) { return named(i, unit(32)); })));
    }
    static constexpr auto graph() {
        return input("picture", f32, {.channels = 32, .height = 56, .width = 56}) | head("device", layer("first_stage") | layer("second_stage"))
             | bottleneck("uplink", named("encode", conv(4, {.kernel = 2, .stride = 2})), affine_u8())
             | tail("cloud", named("decode", conv(32, {.kernel = 1})) | layer("third_stage") | layer("fourth_stage") | global_pool() | named("classifier", dense(1000)));
    }
};
static_assert(graph_of<two_thousand_ops>.ops.size() >= 2000);
static_assert(check<two_thousand_ops>);
static_assert(fingerprint<two_thousand_ops> != 0);
static_assert(memory_of<two_thousand_ops, 16>.arena > 0);
static_assert(steps_of<two_thousand_ops>.count < 800, "activations, norms and adds have melted");
