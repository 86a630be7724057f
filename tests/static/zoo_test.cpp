// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// The zoo's families: published parameter counts, and what crosses at the papers' bottlenecks.
#include <splitdsl/zoo/bottlefit.hpp>
#include <splitdsl/zoo/bottlefit_cifar_resnet.hpp>
#include <splitdsl/zoo/bottlenet_cifar_resnet.hpp>
#include <splitdsl/zoo/cifar_resnet.hpp>
#include <splitdsl/zoo/clio_cifar_resnet.hpp>
#include <splitdsl/zoo/deepcod_cifar_resnet.hpp>
#include <splitdsl/zoo/faster_rcnn_mobilenet.hpp>
#include <splitdsl/zoo/fleet.hpp>
#include <splitdsl/zoo/imitation.hpp>
#include <splitdsl/zoo/inception_v3.hpp>
#include <splitdsl/zoo/inception_v4.hpp>
#include <splitdsl/zoo/keyword_spotting.hpp>
#include <splitdsl/zoo/ladon.hpp>
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

// Ladon: 138,672 parameters at the edge; the same payload as Entropic Student's, for three tasks in the place of one.
struct ladon_encoder {
    static constexpr auto graph() {
        return input("image", u8, {.channels = 3, .height = 224, .width = 224}) | normalise(imagenet) | named("bottleneck_layer", zoo::entropic_student_parts::encoder(24));
    }
};
[[maybe_unused]] constexpr counted<ladon_encoder, 138'672> encoder{};
[[maybe_unused]] constexpr counted<zoo::ladon_resnet50<224, 224>, 46'703'548> ladon{};
static_assert(cut_shape<zoo::ladon_resnet50<224, 224>>("latent") == shape{24, 55, 55} && payload_bytes<zoo::ladon_resnet50<224, 224>>("latent") == 2 * 24 * 55 * 55 + 8);
static_assert(payload_bytes<zoo::entropic_student_resnet50<>>("latent") == 2 * 24 * 55 * 55 + 8);
static_assert(payload_bytes<zoo::entropic_student_resnet50<224, 224, 1000, 24, affine_u8()>>("latent") == 24 * 55 * 55 + 8);

// torchvision's 19,386,354 do not count the backbone's batch norms, which are frozen there.
[[maybe_unused]] constexpr counted<zoo::faster_rcnn_mobilenet_v3_large_fpn<320, 448, zoo::no_cuts>, 19'386'354 + 24'400 - 14'362'055> faster_rcnn_mobilenet{};
[[maybe_unused]] constexpr counted<zoo::faster_rcnn_regions<150>, 14'362'055> regions{};

// BottleFit's baselines on the CIFAR ResNets, 200 bytes each: BottleNet's device computes the network's own first stage, DeepCOD's one convolution.
using bottlefit_small = zoo::bottlefit_cifar_resnet20<>;
using bottlenet_small = zoo::bottlenet_cifar_resnet20<>;
using deepcod_small = zoo::deepcod_cifar_resnet20<zoo::deepcod_choice{.channels = 3, .codec = affine_u8()}>;
static_assert(check<bottlefit_small> && check<bottlenet_small> && check<deepcod_small> && check<zoo::deepcod_cifar_resnet56<>>
              && check<zoo::bottlenet_cifar_resnet56<zoo::bottlenet_choice{zoo::bottlenet_form::plus_plus, 12, 2, 2}>>);
static_assert(payload_bytes<bottlefit_small>("uplink") == 200 && payload_bytes<bottlenet_small>("uplink") == 200 && payload_bytes<deepcod_small>("uplink") == 200);
static_assert(macs<deepcod_small>("edge") == 3 * 48 * 64 && macs<deepcod_small>("edge") < macs<bottlefit_small>("edge") && macs<bottlefit_small>("edge") < macs<bottlenet_small>("edge") / 10);
static_assert(macs<bottlenet_small>("edge") + macs<bottlenet_small>("cloud") > macs<zoo::cifar_resnet20<>>() && macs<bottlefit_small>("cloud") < macs<zoo::cifar_resnet20<>>());

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

// At 720 x 1280 they are 47 times larger, CarlaNet's 59 times, and that 3.86 times the others' (sections 4.3 and 4.4).
constexpr std::int64_t carried = 4 + 1;                  // speed and command
template <class Network>
constexpr std::int64_t sent_values = cut_shape<Network>("uplink").size();
static_assert(sent_values<sage_resnet50_720> * 100 / sent_values<sage_resnet34> == 4'695);
static_assert(sent_values<sage_carlanet_720> * 100 / sent_values<sage_carlanet> == 5'896);
static_assert(sent_values<sage_carlanet_720> * 1'000 / sent_values<sage_resnet50_720> == 3'863);
static_assert(payload_bytes<sage_resnet50_720>("uplink") == 3 * 91 * 161 + 8 + carried);

// Three cameras (section 4.5): three tensors in one payload group, 263.7 kB at 16 bits and 131.9 kB at 8; CarlaNet's 1018.9 kB at 16.
template <codec_id Codec, int Height, int Width>
using three_resnets = zoo::imitation<zoo::three_cameras<zoo::bottlefit_resnet34<zoo::bottleneck_choice{3, 1, Codec}, Height, Width, 512>>>;
using three_carlanets_720 = zoo::imitation<zoo::three_cameras<zoo::sage_carla_perception<720, 1280, 3, codec_id::float16>>>;
static_assert(check<three_resnets<codec_id::float16, 720, 1280>> && cuts_of<three_resnets<codec_id::float16, 720, 1280>>.count == 1);
static_assert(payload_bytes<three_resnets<codec_id::float16, 720, 1280>>("uplink") == 263'718 + carried);
static_assert(payload_bytes<three_resnets<codec_id::affine8, 720, 1280>>("uplink") == 131'859 + 3 * 8 + carried);
static_assert(payload_bytes<three_resnets<codec_id::affine8, 88, 200>>("uplink") == 3 * (3 * 12 * 26 + 8) + carried);
static_assert(check<three_carlanets_720> && payload_bytes<three_carlanets_720>("uplink") == 1'018'872 + carried);

// Multiplications: the head is the same for all but CarlaNet and a twentieth of the whole at most; three cameras need three of it. What is
// not perception is less than a hundredth, and CarlaNet's share is the largest (Table 1 has shares of time: 1.24, 2.26, 2.64 and 40.36 %).
static_assert(macs<sage_resnet34>("edge") == 41'634'816 && macs<sage_densenet169>("edge") == macs<sage_resnet34>("edge"));
static_assert(macs<sage_resnet34>("edge") * 20 < macs<sage_resnet34>() && macs<sage_densenet169>("edge") * 20 < macs<sage_densenet169>());
static_assert(macs<three_resnets<codec_id::affine8, 88, 200>>("edge") == 3 * macs<sage_resnet34>("edge"));
template <class Perception>
constexpr double driver_share = 1 - static_cast<double>(macs<Perception>()) / static_cast<double>(macs<zoo::imitation<Perception>>());
using small_carlanet = zoo::carla_perception<88, 200, 512, zoo::no_cuts>;
static_assert(driver_share<small_carlanet> > driver_share<zoo::resnet34<88, 200, 512>> && driver_share<small_carlanet> < 0.01);

// FLEET's: tensors of at most 28 x 28, 16 x 16 and 8 x 8 are sent (section 4.1).
using zoo::fleet_choice, zoo::fleet_exits, zoo::fleet_pictures;
template <fleet_pictures Pictures, fleet_exits Exits>
using fleet_mobilenet = zoo::fleet_mobilenet_v3<fleet_choice{Pictures, Exits}>;
using fleet_small = fleet_mobilenet<fleet_pictures::cifar, fleet_exits::both>;
using fleet_middle = fleet_mobilenet<fleet_pictures::tiny_imagenet, fleet_exits::local>;
using fleet_large = fleet_mobilenet<fleet_pictures::imagenet, fleet_exits::local>;
static_assert(check<fleet_small> && check<fleet_middle> && check<fleet_large>);
static_assert(fleet_large::size_behind(5) == 28 && fleet_large::size_behind(8) == 14 && fleet_large::size_behind(14) == 7);
static_assert(fleet_middle::size_behind(3) == 16 && fleet_middle::size_behind(5) == 16 && fleet_middle::size_behind(14) == 4);
static_assert(fleet_small::size_behind(3) == 16 && fleet_small::size_behind(8) == 4 && fleet_small::size_behind(14) == 4);
static_assert(zoo::fleet_parts::sent_size(fleet_choice{}, 112) == 28 && zoo::fleet_parts::sent_size(fleet_choice{}, 109) == 27);
// Of the three only CIFAR's fits a Cortex-M33's 512 KB of memory (Table 2), as the paper says.
static_assert(arena_bytes<fleet_small>("device") <= 512 * 1'024);
static_assert(arena_bytes<fleet_middle>("device") > 512 * 1'024 && arena_bytes<fleet_large>("device") > 512 * 1'024);
static_assert(output_shape<fleet_small>() == shape{100, 1, 1} && output_shape<fleet_middle>() == shape{200, 1, 1});
// Streams that grow, in the paper's sizes: 3 to 8 of 16 x 16 values.
using fleet_growing = zoo::fleet_mobilenet_v3<fleet_choice{.pictures = fleet_pictures::cifar, .codec = codec_id::pooled}>;
static_assert(check<fleet_growing> && steps_of<fleet_growing>.stream_count == 8 && steps_of<fleet_growing>.exit_count == 8);
static_assert(zoo::fleet_parts::sizes_of(fleet_choice{}, 56) == 10 && zoo::fleet_parts::growing(fleet_choice{}, 56).sizes.smallest == 10);
static_assert(zoo::fleet_parts::sizes_of(fleet_choice{fleet_pictures::cifar}, 16) == 6 && zoo::fleet_parts::sizes_of(fleet_choice{fleet_pictures::tiny_imagenet}, 32) == 6);
using fleet_resnet_small = zoo::fleet_resnet34<fleet_choice{fleet_pictures::cifar}>;
using fleet_wide = zoo::fleet_resnet34<fleet_choice{.pictures = fleet_pictures::cifar, .depth = {4, 8, 16, 16, 16}}, 32, 10>;
static_assert(check<fleet_resnet_small> && check<fleet_wide> && output_shape<fleet_wide>() == shape{10, 1, 1});
// CLIO's: the device has the whole trunk, the cloud the last three of its seven layers, behind one stream.
using clio_small = zoo::clio_cifar_resnet<2>;
static_assert(check<clio_small> && steps_of<clio_small>.stream_count == 1 && steps_of<clio_small>.exit_count == 1 && output_shape<clio_small>() == shape{10, 1, 1});
static_assert(macs<clio_small>("device") == 6'599'296 && macs<clio_small>("cloud") == 3'244'672);

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
