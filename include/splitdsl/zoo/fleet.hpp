// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file fleet.hpp
/// FLEET's networks with exits: MobileNetV3, ResNet-34 and InceptionV3 that send while they compute, for three sizes of pictures.
#pragma once

#include <splitdsl/zoo/inception_v3.hpp>
#include <splitdsl/zoo/mobilenet_v3.hpp>
#include <splitdsl/zoo/resnet.hpp>

#include <array>
#include <utility>

namespace splitdsl::zoo {

/// The data sets of FLEET's section 4.1. Strides, and the largest tensors that are sent, depend on them: 28 x 28, 16 x 16, 8 x 8.
enum class fleet_pictures : std::uint8_t {
    imagenet,           ///< 224 x 224, 100 classes
    tiny_imagenet,      ///< 64 x 64, 200 classes
    cifar               ///< 32 x 32, 100 classes
};
/// Which exits a network has. `local`: the baselines' (BranchyNet), on the device; `cloud`: FLEET's.
enum class fleet_exits : std::uint8_t { cloud, local, both };

/// ```cpp
/// struct wake_word : zoo::fleet_mobilenet_v3<zoo::fleet_choice{.pictures = zoo::fleet_pictures::cifar}, 32, 3> {};     // three classes
/// ```
struct fleet_choice {
    fleet_pictures pictures{fleet_pictures::imagenet};
    fleet_exits exits{fleet_exits::cloud};
    codec_id codec{codec_id::affine8};      ///< `pooled`: streams grow from about 10/28 of their size to all of it, as the paper's (docs/fleet.md). Not
                                            ///< fleet_inception_v3's, whose unpadded layers have odd sizes (SD316)
    bool pairs{};                           ///< with `pooled`: a fusion of its own for each pair of sizes (Eq. 7)
    int depth[8]{4, 4, 4, 4, 4, 4, 4, 4};   ///< channels sent behind each layer; the paper chooses them by the next layer's time (Eq. 1)
};
/// The data set's own, for a family's parameters.
constexpr int fleet_side(fleet_choice f) { return f.pictures == fleet_pictures::imagenet ? 224 : f.pictures == fleet_pictures::tiny_imagenet ? 64 : 32; }
constexpr int fleet_classes(fleet_choice f) { return f.pictures == fleet_pictures::tiny_imagenet ? 200 : 100; }

namespace fleet_parts {

constexpr int largest(fleet_choice f) { return f.pictures == fleet_pictures::imagenet ? 28 : f.pictures == fleet_pictures::tiny_imagenet ? 16 : 8; }
/// What a layer's size is divided by, a power of two as dynamic pooling wants it, so that at most `largest` is left.
constexpr int divisor(fleet_choice f, int size) {
    int k = 1;
    while (size / k > largest(f)) k *= 2;
    return k;
}
constexpr int sent_size(fleet_choice f, int size) { return size / divisor(f, size); }
constexpr bool has_cloud(fleet_choice f) { return f.exits != fleet_exits::local; }
constexpr bool has_local(fleet_choice f) { return f.exits != fleet_exits::cloud; }

constexpr text stream_name(int layer) {
    constexpr text names[]{"layer1", "layer2", "layer3", "layer4", "layer5", "layer6", "layer7", "layer8"};
    return names[layer - 1];
}
constexpr text cloud_name(int layer) {
    constexpr text names[]{"cloud1", "cloud2", "cloud3", "cloud4", "cloud5", "cloud6", "cloud7", "cloud8"};
    return names[layer - 1];
}
constexpr text local_name(int number) {
    constexpr text names[]{"local1", "local2", "local3", "local4", "local5", "local6", "local7"};
    return names[number - 1];
}

/// Section 3.2's sizes for a layer of this size: 10 to 28 in steps of two on ImageNet, 6 to 16, and 3 to 8 in steps of one on CIFAR.
constexpr pool_choice growing(fleet_choice f, int size) {
    const int largest = sent_size(f, size), smallest = (largest * 10 + 27) / 28;
    const int base = largest % 4 == 0 && smallest < largest / 2 ? largest / 4 : largest / 2;
    const int step = f.pictures == fleet_pictures::cifar ? 1 : 2;
    const int first = smallest < base ? base : smallest;
    return {size / base, {first + (largest - first) % step, largest, step}};
}
constexpr int sizes_of(fleet_choice f, int size) {
    const pool_sizes s = growing(f, size).sizes;
    return (s.largest - s.smallest) / s.step + 1;
}

/// Section 3.2 at its largest size: the first channels, averaged. No weights: what is worth sending, training moves there.
template <fleet_choice F, int Layer, int Size>
constexpr auto send() {
    if constexpr (F.codec == codec_id::pooled) return stream(stream_name(Layer), slice_channels(0, F.depth[Layer - 1]), growing(F, Size));
    else return stream(stream_name(Layer), slice_channels(0, F.depth[Layer - 1]) | avg_pool({.kernel = divisor(F, Size)}), codec_choice{F.codec});
}
/// Heights behind the first layer, the one before and this one.
struct sizes { int first, before, here; };
/// A stream as large as the first layer's, which is the largest: the cloud's part sees one size.
template <fleet_choice F, int Layer, int Size, int First>
constexpr auto received() {
    constexpr int common = sent_size(F, First);
    if constexpr (sent_size(F, Size) == common) return from(stream_name(Layer));
    else return from(stream_name(Layer)) | upsample({.size = common, .bilinear = true});
}
/// Eq. 7 for the last two layers; the first has only itself.
template <fleet_choice F, int Layer, sizes S>
constexpr auto together() {
    if constexpr (Layer == 1) return from(stream_name(1));
    else return concat(received<F, Layer - 1, S.before, S.first>(), received<F, Layer, S.here, S.first>());
}
/// Eq. 7's convolution, or one for each pair of sizes.
template <fleet_choice F, int Layer, sizes S>
constexpr auto fused(int channels) {
    if constexpr (F.codec == codec_id::pooled && F.pairs)
        return by_sizes<Layer == 1 ? 1 : sizes_of(F, S.before), sizes_of(F, S.here)>(
            [channels](int before, int here) { return named(before, named(here, conv_bn(0, channels, {.kernel = 3}))); });
    else return conv_bn(0, channels, {.kernel = 3});
}
/// Sends a layer's values, of which the cloud makes an answer (Eq. 8): f is the exit's own, g is the part that all exits share.
template <fleet_choice F, int Layer, sizes S>
constexpr auto cloud_exit(int channels, const auto& active, const auto& g) {
    if constexpr (!has_cloud(F)) return identity();
    else
        return send<F, Layer, S.here>()
             | beside("cloud", early_exit(cloud_name(Layer), together<F, Layer, S>() | named("fusion", named(Layer, fused<F, Layer, S>(channels)))
                                                                 | active | named("cloud", g) | softmax()));
}
/// A baseline's exit: the layer pooled to Pooled x Pooled values a channel, one dense layer.
template <fleet_choice F, int Number, int Size, int Pooled>
constexpr auto local_exit(int classes) {
    if constexpr (!has_local(F)) return identity();
    else {
        constexpr int to = Size < Pooled ? Size : Pooled, stride = Size / to;
        return head("device", early_exit(local_name(Number), avg_pool({.kernel = Size - (to - 1) * stride, .stride = stride}) | flatten()
                                                                 | named("exits", named(Number, dense(classes))) | softmax()));
    }
}
template <int Side>
constexpr auto picture(const normalisation& how) {
    return head("device", input("image", u8, {.channels = 3, .height = Side, .width = Side}) | normalise(how));
}
constexpr int halved(int size) { return (size + 1) / 2; }           // a padded layer of stride 2

/// Layers 3 and 14 of CIFAR's network keep the size, layer 5 of Tiny-ImageNet's does.
template <fleet_pictures Pictures>
struct mobilenet_blocks : mobilenet_v3_parts::large {
    static constexpr mobilenet_v3_parts::block at(int i) {
        mobilenet_v3_parts::block b = large::at(i);
        if (Pictures == fleet_pictures::cifar && (i == 1 || i == 12)) b.stride = 1;
        if (Pictures == fleet_pictures::tiny_imagenet && i == 3) b.stride = 1;
        return b;
    }
};

} // namespace fleet_parts

/// MobileNetV3-Large of FLEET's evaluation. Layer 1 is the stem, layer k the inverted residual `features.(k - 1)`.
/// Input "image": (3, Side, Side) u8, ImageNet's statistics; the trunk's answer and every exit: Classes probabilities.
/// Cloud exits: streams "layer1" ... "layer8", exits "cloud1" ... "cloud8"; the cloud's own ten inverted residuals from the seventh layer on.
/// Local exits "local1" ... "local7" behind layers 1, 2, 3, 5, 8, 11 and 13, the eighth is the trunk's answer.
/// Places "device" and "cloud". Weights: torchvision's, again behind `cloud.` (`cloud.features.6` ... `cloud.classifier`); `fusion.LAYER.{0,1}`
/// (convolution and batch norm), `exits.NUMBER`.
template <fleet_choice F = fleet_choice{}, int Side = fleet_side(F), int Classes = fleet_classes(F)>
struct fleet_mobilenet_v3 {
    using blocks = fleet_parts::mobilenet_blocks<F.pictures>;
    static constexpr int size_behind(int layer) {
        int s = fleet_parts::halved(Side);
        for (int i = 0; i + 1 < layer; ++i) s = blocks::at(i).stride == 2 ? fleet_parts::halved(s) : s;
        return s;
    }
    template <int First>
    static constexpr auto from_block() {
        using namespace mobilenet_v3_parts;
        const auto every = []<int... I>(std::integer_sequence<int, I...>) { return (... | named(First + I + 1, make_block<blocks, First + I, 100>())); };
        return named("features", every(std::make_integer_sequence<int, large::count - First>{})
                                     | named(large::count + 1, conv_bn(0, 960, {}, epsilon)) | hard_swish())
             | global_pool() | named("classifier", named(0, dense(large::last)) | hard_swish() | named(3, dense(Classes)));
    }
    template <int Layer>
    static constexpr auto layer() {
        using namespace mobilenet_v3_parts;
        using namespace fleet_parts;
        constexpr int exit = Layer <= 3 ? Layer : Layer == 5 ? 4 : Layer == 8 ? 5 : Layer == 11 ? 6 : Layer == 13 ? 7 : 0;
        constexpr auto one = [] {
            if constexpr (Layer == 1) return named(0, conv_bn(0, 16, {.kernel = 3, .stride = 2}, epsilon)) | hard_swish();
            else return named(Layer - 1, make_block<blocks, Layer - 2, 100>());
        }();
        const auto behind = [] {
            if constexpr (exit > 0) return local_exit<F, exit, size_behind(Layer), (exit <= 4 ? 4 : 2)>(Classes);
            else return identity();
        }();
        const auto sent = [] {
            constexpr sizes around{size_behind(1), size_behind(Layer > 1 ? Layer - 1 : 1), size_behind(Layer)};
            if constexpr (Layer <= 8 && has_cloud(F)) return cloud_exit<F, Layer, around>(40, hard_swish(), from_block<5>());
            else return identity();
        }();
        return head("device", named("features", one)) | behind | sent;
    }
    static constexpr auto graph() {
        return fleet_parts::picture<Side>(imagenet)
             | []<int... L>(std::integer_sequence<int, L...>) { return (... | layer<L + 1>()); }(std::make_integer_sequence<int, 13>{})
             | head("device", from_block<12>() | softmax());
    }
};

/// ResNet-34 of FLEET's evaluation. Layer 1 is the stem, then every residual block is a layer. CIFAR's and Tiny-ImageNet's have no max pool (the paper
/// names no change; so their first two layers keep the sizes of MobileNetV3's). Exits as fleet_mobilenet_v3's, five of a kind: streams behind the
/// first five layers; the cloud's own blocks from `layer2.1` on; local exits behind the stem, `layer1`, `layer2` and `layer3` (ours, for the paper
/// names MobileNetV3's only), the fifth is the trunk's answer. Weights: torchvision's, again behind `cloud.`; `fusion`, `exits`.
template <fleet_choice F = fleet_choice{}, int Side = fleet_side(F), int Classes = fleet_classes(F)>
struct fleet_resnet34 {
    static constexpr bool pools = F.pictures == fleet_pictures::imagenet;
    static constexpr int stem_size = pools ? fleet_parts::halved(fleet_parts::halved(Side)) : fleet_parts::halved(Side);
    static constexpr auto stem() {
        const auto units = conv_bn("conv1", "bn1", 64, {.kernel = 7, .stride = 2}) | relu();
        if constexpr (pools) return units | max_pool({.kernel = 3, .stride = 2, .pad = 1});
        else return units;
    }
    template <std::size_t Blocks>
    static constexpr auto more(text name, int channels) {
        return named(name, repeat<Blocks>([channels](int i) { return named(i + 1, resnet_parts::keep(channels)); }));
    }
    static constexpr auto in_cloud() {
        using namespace resnet_parts;
        return more<3>("layer2", 128) | layer<6>("layer3", 256) | layer<3>("layer4", 512) | global_pool() | named("fc", dense(Classes));
    }
    template <int Layer>
    static constexpr auto sent() {
        constexpr int two = fleet_parts::halved(stem_size);
        return fleet_parts::cloud_exit<F, Layer, fleet_parts::sizes{stem_size, stem_size, Layer == 5 ? two : stem_size}>(128, relu(), in_cloud());
    }
    template <int Number, int Size>
    static constexpr auto answer() { return fleet_parts::local_exit<F, Number, Size, (Number <= 2 ? 4 : 2)>(Classes); }
    static constexpr auto graph() {
        using namespace fleet_parts;
        using namespace resnet_parts;
        constexpr int two = halved(stem_size), three = halved(two);
        const auto block = [](int i) { return head("device", named("layer1", named(i, keep(64)))); };
        return picture<Side>(imagenet) | head("device", stem()) | answer<1, stem_size>() | sent<1>() | block(0) | sent<2>() | block(1) | sent<3>()
             | block(2) | answer<2, stem_size>() | sent<4>() | head("device", named("layer2", named(0, change(128, 2)))) | sent<5>()
             | head("device", more<3>("layer2", 128)) | answer<3, two>() | head("device", layer<6>("layer3", 256)) | answer<4, three>()
             | head("device", layer<3>("layer4", 512) | global_pool() | named("fc", dense(Classes)) | softmax());
    }
};

/// InceptionV3 of FLEET's evaluation. The first five layers are torchvision's five convolutions, the max pools part of those before them; CIFAR's network
/// has no max pool, Tiny-ImageNet's only the first (the paper does not say which). Pixels go to [-1, 1]. Exits as fleet_resnet34's: streams behind
/// the first five layers; the cloud's own blocks from `Mixed_5b` on; local exits behind the third and fifth layer, `Mixed_5d` and `Mixed_6e`, the
/// fifth is the trunk's answer. Weights: torchvision's, of which `AuxLogits.` is ignored, again behind `cloud.`; `fusion`, `exits`.
template <fleet_choice F = fleet_choice{}, int Side = fleet_side(F), int Classes = fleet_classes(F)>
struct fleet_inception_v3 {
    static constexpr auto ignored() { return std::array<text, 1>{"AuxLogits."}; }
    static constexpr bool first_pool = F.pictures != fleet_pictures::cifar, second_pool = F.pictures == fleet_pictures::imagenet;
    static constexpr int shrunk(int size) { return (size - 3) / 2 + 1; }
    static constexpr int size_behind(int layer) {
        int s = shrunk(Side);
        if (layer >= 2) s -= 2;
        if (layer >= 3 && first_pool) s = shrunk(s);
        if (layer >= 5) s = second_pool ? shrunk(s - 2) : s - 2;
        return s;
    }
    template <bool Pools>
    static constexpr auto pooled() {
        if constexpr (Pools) return inception_v3_parts::shrink();
        else return identity();
    }
    static constexpr auto fives() {
        using namespace inception_v3_parts;
        return mixed_a("Mixed_5b", 32) | mixed_a("Mixed_5c", 64) | mixed_a("Mixed_5d", 64);
    }
    static constexpr auto sixes() {
        using namespace inception_v3_parts;
        return mixed_b("Mixed_6a") | mixed_c("Mixed_6b", 128) | mixed_c("Mixed_6c", 160) | mixed_c("Mixed_6d", 160) | mixed_c("Mixed_6e", 192);
    }
    static constexpr auto sevens() {
        using namespace inception_v3_parts;
        return mixed_d("Mixed_7a") | mixed_e("Mixed_7b") | mixed_e("Mixed_7c") | global_pool() | named("fc", dense(Classes));
    }
    template <int Layer>
    static constexpr auto sent() {
        constexpr fleet_parts::sizes around{size_behind(1), size_behind(Layer > 1 ? Layer - 1 : 1), size_behind(Layer)};
        return fleet_parts::cloud_exit<F, Layer, around>(192, relu(), fives() | sixes() | sevens());
    }
    template <int Number, int Size>
    static constexpr auto answer() { return fleet_parts::local_exit<F, Number, Size, (Number <= 2 ? 4 : 2)>(Classes); }
    static constexpr auto graph() {
        using namespace fleet_parts;
        using namespace inception_v3_parts;
        constexpr int five = size_behind(5);
        return picture<Side>(minus_one_to_one) | head("device", unit("Conv2d_1a_3x3", 32, three_by_two)) | sent<1>()
             | head("device", unit("Conv2d_2a_3x3", 32, three)) | sent<2>()
             | head("device", unit("Conv2d_2b_3x3", 64, three_same) | pooled<first_pool>()) | answer<1, size_behind(3)>() | sent<3>()
             | head("device", unit("Conv2d_3b_1x1", 80, one)) | sent<4>()
             | head("device", unit("Conv2d_4a_3x3", 192, three) | pooled<second_pool>()) | answer<2, five>() | sent<5>()
             | head("device", fives()) | answer<3, five>() | head("device", sixes()) | answer<4, shrunk(five)>()
             | head("device", sevens() | softmax());
    }
};

} // namespace splitdsl::zoo
