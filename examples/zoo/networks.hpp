// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file networks.hpp
/// The list of the zoo's networks as they are compiled for the examples and tests: each with its input and labels.
///
/// The build reads the list below, so a new line is a new network. `zoo_networks::find("resnet50")` gives everything a program needs. The
/// families' headers are not included here: each network's source, which the build writes, includes its own alone.
#pragma once

#include <examples/zoo/network.hpp>

#include <span>
#include <string_view>

// X(name, labels, shorter side before the centre crop (0: resized to the input without a crop), network...)
#define SPLITDSL_ZOO_FEW(X)                                                    \
    X(resnet18, imagenet, 256, resnet18<>)                                     \
    X(resnet50, imagenet, 256, resnet50<>)                                     \
    X(densenet169, imagenet, 256, densenet169<>)                               \
    X(squeezenet1_1, imagenet, 256, squeezenet1_1<>)                           \
    X(mobilenet_v2, imagenet, 256, mobilenet_v2<>)                             \
    X(mobilenet_v2_tf, imagenet_background, 256, mobilenet_v2_tf<>)            \
    X(mobilenet_v2_tf_int8, imagenet_background, 256, mobilenet_v2_tf_int8<>)  \
    X(mobilenet_v3_large, imagenet, 256, mobilenet_v3_large<>)                 \
    X(inception_v3, imagenet, 342, inception_v3<>)                             \
    X(cifar10_resnet20, cifar10, 0, cifar_resnet20<>)                          \
    X(cifar10_resnet56, cifar10, 0, cifar_resnet56<>)                          \
    X(ssdlite320_mobilenet_v3_large, none, 0, ssdlite320_mobilenet_v3_large<>) \
    X(lraspp_mobilenet_v3_large, none, 0, lraspp_mobilenet_v3_large<>) \
    X(fleet_mobilenet_v3, none, 0, fleet_mobilenet_v3<splitdsl::zoo::fleet_choice{splitdsl::zoo::fleet_pictures::imagenet, splitdsl::zoo::fleet_exits::both, splitdsl::codec_id::float32}>) \
    X(fleet_resnet34_cifar, none, 0, fleet_resnet34<splitdsl::zoo::fleet_choice{splitdsl::zoo::fleet_pictures::cifar, splitdsl::zoo::fleet_exits::both, splitdsl::codec_id::float32}>)

// Compiled only with -DSPLITDSL_ZOO_ALL=ON: together they take minutes.
#define SPLITDSL_ZOO_MORE(X)                                                   \
    X(resnet34, imagenet, 256, resnet34<>)                                     \
    X(resnet152, imagenet, 256, resnet152<>)                                   \
    X(densenet121, imagenet, 256, densenet121<>)                               \
    X(densenet201, imagenet, 256, densenet201<>)                               \
    X(mobilenet_v2_035, imagenet, 256, mobilenet_v2<35, 96, 96>)               \
    X(mobilenet_v2_140, imagenet, 256, mobilenet_v2<140>)                      \
    X(mobilenet_v2_int8, imagenet, 256, mobilenet_v2_int8<>)                   \
    X(squeezenet1_1_int8, imagenet, 256, squeezenet1_1_int8<>)                 \
    X(mobilenet_v3_small, imagenet, 256, mobilenet_v3_small<>)                 \
    X(mnasnet0_5, imagenet, 256, mnasnet0_5<>)                                 \
    X(mnasnet1_3, imagenet, 256, mnasnet1_3<>)                                 \
    X(inception_v3_plain, imagenet, 342, inception_v3<299, 299, 1000, false>)  \
    X(cifar10_resnet32, cifar10, 0, cifar_resnet32<>)                          \
    X(cifar10_resnet44, cifar10, 0, cifar_resnet44<>)                          \
    X(ssd300_vgg16, none, 0, ssd300_vgg16<>)                                   \
    X(ssd_mobilenet_v1, none, 0, ssd_mobilenet_v1<>)                           \
    X(ssd_mobilenet_v2, none, 0, ssd_mobilenet_v2<>)                           \
    X(faster_rcnn_resnet50_fpn, none, 0, faster_rcnn_resnet50_fpn<>)           \
    X(faster_rcnn_regions, none, 0, faster_rcnn_regions<>)                     \
    X(faster_rcnn_mobilenet_v3_large_320_fpn, none, 0, faster_rcnn_mobilenet_v3_large_fpn<>) \
    X(faster_rcnn_regions_150, none, 0, faster_rcnn_regions<150>)              \
    X(deeplabv3_mobilenet_v3_large, none, 0, deeplabv3_mobilenet_v3_large<>)   \
    X(resnest14d, imagenet, 256, resnest14d<>)                                 \
    X(resnest269e, imagenet, 461, resnest269e<>)                               \
    X(entropic_student_resnet50, imagenet, 256, entropic_student_resnet50<>)   \
    X(entropic_student_lossless, imagenet, 256, entropic_student_resnet50<224, 224, 1000, 24, splitdsl::lossless_f32()>) \
    X(entropic_student_resnest269e, imagenet, 256, entropic_student_resnest269e<>) \
    X(entropic_student_resnest269e_lossless, imagenet, 256, entropic_student_resnest269e<224, 224, 1000, 24, splitdsl::lossless_f32()>) \
    X(ladon_resnet50, none, 0, ladon_resnet50<256, 320>) \
    X(ladon_resnest269e, none, 0, ladon_resnest269e<256, 320>) \
    X(inception_v4, imagenet, 342, inception_v4<>) \
    X(cnn_trad_fpool3, none, 0, cnn_trad_fpool3<>) \
    X(il_carlanet, none, 0, imitation<splitdsl::zoo::carla_perception<>>) \
    X(il_resnet34, none, 0, imitation<splitdsl::zoo::resnet34<88, 200, 512>>) \
    X(il_resnet50, none, 0, imitation<splitdsl::zoo::resnet50<88, 200, 512>>) \
    X(il_densenet169, none, 0, imitation<splitdsl::zoo::densenet169<88, 200, 512>>) \
    X(sage_carlanet, none, 0, imitation<splitdsl::zoo::sage_carla_perception<88, 200, 3, splitdsl::codec_id::float32>>) \
    X(sage_resnet34, none, 0, imitation<splitdsl::zoo::bottlefit_resnet34<splitdsl::zoo::bottleneck_choice{3, 1, splitdsl::codec_id::float32}, 88, 200, 512>>) \
    X(sage_resnet50, none, 0, imitation<splitdsl::zoo::bottlefit_resnet50<splitdsl::zoo::bottleneck_choice{3, 1, splitdsl::codec_id::float32}, 88, 200, 512>>) \
    X(sage_densenet169, none, 0, imitation<splitdsl::zoo::bottlefit_densenet169<splitdsl::zoo::bottleneck_choice{3, 1, splitdsl::codec_id::float32}, 88, 200, 512>>) \
    X(sage_three_carlanet, none, 0, imitation<splitdsl::zoo::three_cameras<splitdsl::zoo::sage_carla_perception<88, 200, 3, splitdsl::codec_id::float32>>>) \
    X(sage_three_resnet34, none, 0, imitation<splitdsl::zoo::three_cameras<splitdsl::zoo::bottlefit_resnet34<splitdsl::zoo::bottleneck_choice{3, 1, splitdsl::codec_id::float32}, 88, 200, 512>>>) \
    X(sage_three_resnet50, none, 0, imitation<splitdsl::zoo::three_cameras<splitdsl::zoo::bottlefit_resnet50<splitdsl::zoo::bottleneck_choice{3, 1, splitdsl::codec_id::float32}, 88, 200, 512>>>) \
    X(sage_three_densenet169, none, 0, imitation<splitdsl::zoo::three_cameras<splitdsl::zoo::bottlefit_densenet169<splitdsl::zoo::bottleneck_choice{3, 1, splitdsl::codec_id::float32}, 88, 200, 512>>>) \
    X(sage_resnet34_720, none, 0, imitation<splitdsl::zoo::bottlefit_resnet34<splitdsl::zoo::bottleneck_choice{3, 1, splitdsl::codec_id::float32}, 720, 1280, 512>>) \
    X(bottlefit_resnet152_3, imagenet, 256, bottlefit_resnet152<splitdsl::zoo::bottleneck_choice{3, 1, splitdsl::codec_id::float32}>) \
    X(bottlefit_resnet152_12_sp2, imagenet, 256, bottlefit_resnet152<splitdsl::zoo::bottleneck_choice{12, 2, splitdsl::codec_id::float32}>) \
    X(bottlefit_densenet169_12, imagenet, 256, bottlefit_densenet169<splitdsl::zoo::bottleneck_choice{12, 1, splitdsl::codec_id::float32}>) \
    X(bottlefit_densenet201_6, imagenet, 256, bottlefit_densenet201<splitdsl::zoo::bottleneck_choice{6, 1, splitdsl::codec_id::float32}>) \
    X(bottlenet_cifar_resnet20, cifar10, 0, bottlenet_cifar_resnet20<splitdsl::zoo::bottlenet_choice{.codec = splitdsl::codec_id::float32}>) \
    X(bottlenet_plus_plus_cifar_resnet20, cifar10, 0, bottlenet_cifar_resnet20<splitdsl::zoo::bottlenet_choice{splitdsl::zoo::bottlenet_form::plus_plus, 6, 2, 2, splitdsl::codec_id::float32}>) \
    X(deepcod_cifar_resnet20, cifar10, 0, deepcod_cifar_resnet20<splitdsl::zoo::deepcod_choice{.channels = 6, .codec = splitdsl::codec_id::float32}>) \
    X(bottlefit_densenet201_9_sp2, imagenet, 256, bottlefit_densenet201<splitdsl::zoo::bottleneck_choice{9, 2, splitdsl::codec_id::float32}>) \
    X(fleet_inception_v3_tiny, none, 0, fleet_inception_v3<splitdsl::zoo::fleet_choice{splitdsl::zoo::fleet_pictures::tiny_imagenet, splitdsl::zoo::fleet_exits::both, splitdsl::codec_id::float32}>) \
    X(fleet_cifar_resnet14, none, 0, fleet_cifar_resnet<2, splitdsl::zoo::fleet_choice{splitdsl::zoo::fleet_pictures::cifar, splitdsl::zoo::fleet_exits::both, splitdsl::codec_id::float32}>) \
    X(fleet_mobilenet_v3_tiny, none, 0, fleet_mobilenet_v3<splitdsl::zoo::fleet_choice{splitdsl::zoo::fleet_pictures::tiny_imagenet, splitdsl::zoo::fleet_exits::both, splitdsl::codec_id::float32}>) \
    X(fleet_mobilenet_v3_cifar, none, 0, fleet_mobilenet_v3<splitdsl::zoo::fleet_choice{splitdsl::zoo::fleet_pictures::cifar, splitdsl::zoo::fleet_exits::both, splitdsl::codec_id::float32}>) \
    X(fleet_resnet34, none, 0, fleet_resnet34<splitdsl::zoo::fleet_choice{splitdsl::zoo::fleet_pictures::imagenet, splitdsl::zoo::fleet_exits::both, splitdsl::codec_id::float32}>) \
    X(fleet_resnet34_tiny, none, 0, fleet_resnet34<splitdsl::zoo::fleet_choice{splitdsl::zoo::fleet_pictures::tiny_imagenet, splitdsl::zoo::fleet_exits::both, splitdsl::codec_id::float32}>) \
    X(fleet_inception_v3, none, 0, fleet_inception_v3<splitdsl::zoo::fleet_choice{splitdsl::zoo::fleet_pictures::imagenet, splitdsl::zoo::fleet_exits::both, splitdsl::codec_id::float32}>) \
    X(fleet_inception_v3_cifar, none, 0, fleet_inception_v3<splitdsl::zoo::fleet_choice{splitdsl::zoo::fleet_pictures::cifar, splitdsl::zoo::fleet_exits::both, splitdsl::codec_id::float32}>)

#if defined(SPLITDSL_ZOO_ALL)
#define SPLITDSL_ZOO_NETWORKS(X) SPLITDSL_ZOO_FEW(X) SPLITDSL_ZOO_MORE(X)
#else
#define SPLITDSL_ZOO_NETWORKS(X) SPLITDSL_ZOO_FEW(X)
#endif

namespace zoo_networks {

/// All of them, in the list's order.
std::span<const network* const> all();
/// Null if there is none of that name.
const network* find(std::string_view name);

} // namespace zoo_networks
