// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include "onednn.hpp"

#if SPLITDSL_HAS_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>
#endif
#if SPLITDSL_HAS_ONEDNN && DNNL_VERSION_MAJOR < 3
#include <algorithm>
#include <cmath>
#include <cstring>
#include <dlfcn.h>
#include <string>
#include <unordered_map>

namespace timed {
namespace {

class on_bytes final : public onednn_byte_layer {
public:
    on_bytes(const layer& l, const std::uint8_t* picture, const float* weights, float in_scale, float out_scale) : of{l} {
        using dnnl::memory;
        using tag = memory::format_tag;
        using type = memory::data_type;
        const memory::dims in{1, l.in, l.height, l.width}, out{1, l.out, l.out_height(), l.out_width()}, strides{l.stride, l.stride};
        const memory::dim pad = l.kernel / 2;
        const memory::dims before{pad, pad};
        const auto behind_of = [&](int extent, int result) { return memory::dim{(result - 1) * l.stride + l.kernel - extent} - pad; };
        const memory::dims behind{behind_of(l.height, l.out_height()), behind_of(l.width, l.out_width())};
        const bool grouped = l.groups > 1;
        const memory::dims kernel = grouped ? memory::dims{l.groups, l.out / l.groups, l.in / l.groups, l.kernel, l.kernel} : memory::dims{l.out, l.in, l.kernel, l.kernel};
        const int fan = l.in / l.groups * l.kernel * l.kernel;
        std::vector<std::int8_t> rounded(static_cast<std::size_t>(l.out) * static_cast<std::size_t>(fan));
        std::vector<float> scales;
        for (int o = 0; o < l.out; ++o) {
            const float* const first = weights + std::ptrdiff_t{o} * fan;
            float largest = 1e-30F;
            for (int k = 0; k < fan; ++k) largest = std::max(largest, std::abs(first[k]));
            for (int k = 0; k < fan; ++k) rounded[static_cast<std::size_t>(o * fan + k)] = static_cast<std::int8_t>(std::nearbyint(first[k] / largest * 127));
            scales.push_back(largest / 127 * in_scale / out_scale);
        }
        dnnl::post_ops then;
        then.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
        dnnl::primitive_attr attributes;
        attributes.set_output_scales(1 << 1, scales);
        attributes.set_post_ops(then);
        const dnnl::convolution_forward::primitive_desc what{{dnnl::prop_kind::forward_inference, dnnl::algorithm::convolution_auto, memory::desc{in, type::u8, tag::any},
                                                              memory::desc{kernel, type::s8, tag::any}, memory::desc{out, type::u8, tag::any}, strides, before, behind},
                                                             attributes, cpu};
        name = what.impl_info_str();
        from = laid_out({in, type::u8, tag::nchw}, what.src_desc(), picture);
        weight = laid_out({kernel, type::s8, grouped ? tag::goihw : tag::oihw}, what.weights_desc(), rounded.data());
        to = memory{what.dst_desc(), cpu};
        convolution = dnnl::convolution_forward{what};
        arguments = {{DNNL_ARG_SRC, from}, {DNNL_ARG_WEIGHTS, weight}, {DNNL_ARG_DST, to}};
    }
    void run() override {
        convolution.execute(work, arguments);
        work.wait();
    }
    std::vector<std::uint8_t> planar() const override {
        dnnl::memory flat{{{1, of.out, of.out_height(), of.out_width()}, dnnl::memory::data_type::u8, dnnl::memory::format_tag::nchw}, cpu};
        dnnl::stream copying{cpu};
        dnnl::memory source = to;
        dnnl::reorder{source, flat}.execute(copying, source, flat);
        copying.wait();
        const auto* first = static_cast<const std::uint8_t*>(flat.get_data_handle());
        return {first, first + flat.get_desc().get_size()};
    }
    const char* picked() const override { return name.c_str(); }

private:
    dnnl::memory laid_out(const dnnl::memory::desc& plain, const dnnl::memory::desc& wanted, const void* values) {
        dnnl::memory flat{plain, cpu}, blocked{wanted, cpu};
        std::memcpy(flat.get_data_handle(), values, plain.get_size());
        dnnl::reorder{flat, blocked}.execute(work, flat, blocked);
        work.wait();
        return blocked;
    }

    layer of;
    dnnl::engine cpu{dnnl::engine::kind::cpu, 0};
    dnnl::stream work{cpu};
    dnnl::memory from, weight, to;
    dnnl::convolution_forward convolution;
    std::unordered_map<int, dnnl::memory> arguments;
    std::string name;
};

} // namespace

std::unique_ptr<onednn_byte_layer> make_onednn_byte_layer(const layer& l, const std::uint8_t* planar, const float* weight, float in_scale, float out_scale) {
    if (void* const set = dlsym(RTLD_DEFAULT, "omp_set_num_threads")) reinterpret_cast<void (*)(int)>(set)(1); // as for the layers in f32
    return std::make_unique<on_bytes>(l, planar, weight, in_scale, out_scale);
}

} // namespace timed
#else
namespace timed {
std::unique_ptr<onednn_byte_layer> make_onednn_byte_layer(const layer&, const std::uint8_t*, const float*, float, float) { return {}; }
} // namespace timed
#endif
