// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
// title: ResNet-50 with its kernels
// flags: -O2
// limit: 60 s, 1500 MB
/// @file resnet50.cpp
/// A bottleneck ResNet-50 (He et al. 2016, torchvision's names), declared with the language's words and compiled into a pipeline.
#include <splitdsl/language.hpp>
#include <splitdsl/runtime/executor.hpp>

namespace words {

using namespace splitdsl;

constexpr auto conv_bn(text conv_name, text norm_name, int channels, window w) {
    w.with_bias = bias::no;
    return named(conv_name, conv(channels, w)) | named(norm_name, batch_norm());
}
constexpr auto main_path(int width, int stride) {
    return conv_bn("conv1", "bn1", width, {.kernel = 1}) | relu() | conv_bn("conv2", "bn2", width, {.kernel = 3, .stride = stride}) | relu()
         | conv_bn("conv3", "bn3", 4 * width, {.kernel = 1});
}
template <std::size_t Blocks>
constexpr auto layer(text name, int width, int stride) {
    return named(name, named(0, residual(main_path(width, stride), named("downsample", projection(4 * width, stride))) | relu())
                           | repeat<Blocks - 1>([width](int i) { return named(i + 1, residual(main_path(width, 1)) | relu()); }));
}

} // namespace words

struct resnet50 {
    static constexpr auto graph() {
        using namespace splitdsl;
        return input("image", u8, {.channels = 3, .height = 224, .width = 224}) | normalise(imagenet)
             | words::conv_bn("conv1", "bn1", 64, {.kernel = 7, .stride = 2}) | relu() | max_pool({.kernel = 3, .stride = 2, .pad = 1})
             | words::layer<3>("layer1", 64, 1) | cut("layer1") | words::layer<4>("layer2", 128, 2) | cut("layer2")
             | words::layer<6>("layer3", 256, 2) | cut("layer3") | words::layer<3>("layer4", 512, 2) | cut("layer4")
             | global_pool() | named("fc", dense(1000));
    }
};
static_assert(splitdsl::check<resnet50>);
static_assert(splitdsl::output_shape<resnet50>() == splitdsl::shape{1000, 1, 1});
static_assert(splitdsl::macs<resnet50>() > 4'000'000'000);

const splitdsl::pipeline& code() { return splitdsl::pipeline_of<resnet50>(); }
