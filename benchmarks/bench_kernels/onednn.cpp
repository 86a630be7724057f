// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
#include "onednn.hpp"

#if SPLITDSL_HAS_ONEDNN
#include <oneapi/dnnl/dnnl.hpp>

#include <cstring>
#include <dlfcn.h>
#include <string>
#include <unordered_map>

namespace timed {
namespace {

class in_onednn final : public onednn_layer {
public:
    in_onednn(const layer& l, const float* picture, const float* weights) : of{l} {
        using dnnl::memory;
        using tag = memory::format_tag;
        const memory::dims in{1, l.in, l.height, l.width}, out{1, l.out, l.out_height(), l.out_width()}, strides{l.stride, l.stride};
        const memory::dims before{l.rows / 2, l.kernel / 2};
        const auto behind_of = [&](int extent, int result, int taps) { return memory::dim{(result - 1) * l.stride + taps - extent - taps / 2}; };
        const memory::dims behind{behind_of(l.height, l.out_height(), l.rows), behind_of(l.width, l.out_width(), l.kernel)};
        const bool grouped = l.groups > 1;
        const memory::dims kernel = grouped ? memory::dims{l.groups, l.out / l.groups, l.in / l.groups, l.rows, l.kernel} : memory::dims{l.out, l.in, l.rows, l.kernel};
        const auto any = [](const memory::dims& d) { return memory::desc{d, memory::data_type::f32, tag::any}; };
        dnnl::post_ops then;
#if DNNL_VERSION_MAJOR >= 3
        then.append_eltwise(dnnl::algorithm::eltwise_relu, 0, 0);
#else
        then.append_eltwise(1, dnnl::algorithm::eltwise_relu, 0, 0);
#endif
        dnnl::primitive_attr attributes;
        attributes.set_post_ops(then);
        const auto inference = dnnl::prop_kind::forward_inference;
        const auto automatic = dnnl::algorithm::convolution_auto;
#if DNNL_VERSION_MAJOR >= 3
        const dnnl::convolution_forward::primitive_desc what{cpu, inference, automatic, any(in), any(kernel), any(out), strides, before, behind, attributes};
#else
        const dnnl::convolution_forward::primitive_desc what{{inference, automatic, any(in), any(kernel), any(out), strides, before, behind}, attributes, cpu};
#endif
        name = what.impl_info_str();
        from = laid_out(in, tag::nchw, what.src_desc(), picture);
        weight = laid_out(kernel, grouped ? tag::goihw : tag::oihw, what.weights_desc(), weights);
        to = memory{what.dst_desc(), cpu};
        convolution = dnnl::convolution_forward{what};
        arguments = {{DNNL_ARG_SRC, from}, {DNNL_ARG_WEIGHTS, weight}, {DNNL_ARG_DST, to}};
    }
    void run() override {
        convolution.execute(work, arguments);
        work.wait();
    }
    std::vector<float> planar() const override {
        dnnl::memory flat{{{1, of.out, of.out_height(), of.out_width()}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::nchw}, cpu};
        dnnl::stream copying{cpu};
        dnnl::memory source = to;
        dnnl::reorder{source, flat}.execute(copying, source, flat);
        copying.wait();
        const auto* first = static_cast<const float*>(flat.get_data_handle());
        return {first, first + flat.get_desc().get_size() / sizeof(float)};
    }
    const char* picked() const override { return name.c_str(); }

private:
    dnnl::memory laid_out(const dnnl::memory::dims& dims, dnnl::memory::format_tag plain, const dnnl::memory::desc& wanted, const float* values) {
        dnnl::memory flat{{dims, dnnl::memory::data_type::f32, plain}, cpu}, blocked{wanted, cpu};
        std::memcpy(flat.get_data_handle(), values, flat.get_desc().get_size());
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

std::unique_ptr<onednn_layer> make_onednn_layer(const layer& l, const float* planar, const float* weight) {
    // OpenMP read its environment when the library was loaded, before main: one thread has to be asked for.
    if (void* const set = dlsym(RTLD_DEFAULT, "omp_set_num_threads")) reinterpret_cast<void (*)(int)>(set)(1);
    return std::make_unique<in_onednn>(l, planar, weight);
}

} // namespace timed
#else
namespace timed {
std::unique_ptr<onednn_layer> make_onednn_layer(const layer&, const float*, const float*) { return {}; }
} // namespace timed
#endif
