// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// The zoo's families: published parameter counts, and what crosses at the papers' bottlenecks.
#include <splitdsl/zoo/bottlefit.hpp>
#include <splitdsl/zoo/cifar_resnet.hpp>
#include <splitdsl/zoo/imitation.hpp>
#include <splitdsl/zoo/inception_v3.hpp>
#include <splitdsl/zoo/inception_v4.hpp>
#include <splitdsl/zoo/keyword_spotting.hpp>
#include <splitdsl/zoo/mnasnet.hpp>
#include <splitdsl/zoo/mobilenet_v2.hpp>
#include <splitdsl/zoo/mobilenet_v3.hpp>
#include <splitdsl/zoo/squeezenet.hpp>

namespace {
using namespace splitdsl;

template <class Family, std::int64_t Parameters>
struct counted : Family {
    static_assert(check<Family>);
    static_assert(parameter_count<Family>() == Parameters);
};
// torchvision's `num_params`; InceptionV3's without the auxiliary classifier's 3,326,696; timm's and the CIFAR ResNets' published counts.
[[maybe_unused]] constexpr counted<zoo::resnet152<>, 60'192'808> resnet152{};
[[maybe_unused]] constexpr counted<zoo::densenet161<>, 28'681'000> densenet161{};
[[maybe_unused]] constexpr counted<zoo::densenet201<>, 20'013'928> densenet201{};
[[maybe_unused]] constexpr counted<zoo::squeezenet1_1<>, 1'235'496> squeezenet{};
[[maybe_unused]] constexpr counted<zoo::mobilenet_v2<>, 3'504'872> mobilenet_v2{};
[[maybe_unused]] constexpr counted<zoo::mobilenet_v3_large<>, 5'483'032> mobilenet_v3_large{};
[[maybe_unused]] constexpr counted<zoo::mobilenet_v3_small<>, 2'542'856> mobilenet_v3_small{};
[[maybe_unused]] constexpr counted<zoo::mnasnet0_5<>, 2'218'512> mnasnet0_5{};
[[maybe_unused]] constexpr counted<zoo::mnasnet1_3<>, 6'282'256> mnasnet1_3{};
[[maybe_unused]] constexpr counted<zoo::inception_v3<>, 27'161'264 - 3'326'696> inception_v3{};
[[maybe_unused]] constexpr counted<zoo::inception_v4<>, 42'679'816> inception_v4{};
[[maybe_unused]] constexpr counted<zoo::cifar_resnet20<>, 269'722> cifar20{};
[[maybe_unused]] constexpr counted<zoo::cifar_resnet56<>, 853'018> cifar56{};
// Sainath and Parada's Table 1 has 32 frames and 4 classes; biases on top of its weights.
[[maybe_unused]] constexpr counted<zoo::cnn_trad_fpool3<32, 40, 4>,
                                   20 * 8 * 64 + 64 + 10 * 4 * 64 * 64 + 64 + 2048 * 32 + 32 + 32 * 128 + 128 + 128 * 4 + 4> keywords{};

// SAGE's bottlenecks (Table 1 and section 4.3): at 88 x 200 and at 720 x 1280.
using sage_resnet34 = zoo::imitation<zoo::bottlefit_resnet34<zoo::bottleneck_choice{}, 88, 200, 512>>;
using sage_densenet169 = zoo::imitation<zoo::bottlefit_densenet169<zoo::bottleneck_choice{}, 88, 200, 512>>;
using sage_resnet50_720 = zoo::imitation<zoo::bottlefit_resnet50<zoo::bottleneck_choice{}, 720, 1280, 512>>;
using sage_carlanet = zoo::imitation<zoo::sage_carla_perception<>>;
using sage_carlanet_720 = zoo::imitation<zoo::sage_carla_perception<720, 1280>>;
static_assert(check<sage_resnet34> && cut_shape<sage_resnet34>("uplink") == shape{3, 12, 26});
static_assert(check<sage_densenet169> && cut_shape<sage_densenet169>("uplink") == shape{3, 12, 26});
static_assert(check<sage_resnet50_720> && cut_shape<sage_resnet50_720>("uplink") == shape{3, 91, 161});
static_assert(check<sage_carlanet> && cut_shape<sage_carlanet>("uplink") == shape{3, 20, 48});
static_assert(check<sage_carlanet_720> && cut_shape<sage_carlanet_720>("uplink") == shape{3, 178, 318});
// Besides its tensor the speed (4 bytes) and the command (1) travel: they are read in the cloud.
static_assert(payload_bytes<sage_resnet34>("uplink") == 3 * 12 * 26 + 8 + 4 + 1);
static_assert(output_shape<sage_carlanet>() == shape{3, 1, 1});

// BottleFit's: 2,523 to 10,092 values at split point 1, 15 x 15 at split point 2.
template <int Channels, int Point>
using narrow = zoo::bottlefit_resnet152<zoo::bottleneck_choice{Channels, Point}>;
static_assert(cut_shape<narrow<3, 1>>("uplink").size() == 2'523 && cut_shape<narrow<6, 1>>("uplink").size() == 5'046);
static_assert(cut_shape<narrow<9, 1>>("uplink").size() == 7'569 && cut_shape<narrow<12, 1>>("uplink").size() == 10'092);
static_assert(check<narrow<12, 2>> && cut_shape<narrow<12, 2>>("uplink") == shape{12, 15, 15});
static_assert(check<zoo::bottlefit_densenet201<zoo::bottleneck_choice{12, 2}>>);

// Cuts are chosen: all, none, or one with its codec.
static_assert(cuts_of<zoo::resnet50<>>.count == 4 && cuts_of<zoo::resnet50<224, 224, 1000, zoo::no_cuts>>.count == 0);
using one_cut = zoo::squeezenet1_1<224, 224, 1000, zoo::only_cut(4, affine_u8())>;
static_assert(cuts_of<one_cut>.count == 1 && payload_bytes<one_cut>("features5") == 128 * 27 * 27 + 8);
static_assert(macs<zoo::mobilenet_v2<>>() == 300'774'272 && zoo::scaled(24, 35) == 8 && zoo::scaled(32, 140) == 48);
} // namespace
