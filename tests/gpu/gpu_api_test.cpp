// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file gpu_api_test.cpp
/// Our tables of NVIDIA's functions, compared with NVIDIA's headers where they are installed; and device code compiled by NVRTC.
#include "../catch.hpp"

#include <kernels/cudnn/compile.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <type_traits>

#if __has_include(<cuda.h>) && __has_include(<cudnn.h>) && __has_include(<nvrtc.h>)
#define SPLITDSL_HAS_CUDA_HEADERS 1
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
#include <cuda.h>
#include <cudnn.h>
#include <nvrtc.h>
#endif

namespace {
using namespace splitdsl::kernels::cudnn;

compiler_api try_compiler(std::string& why) {
    try {
        return load_compiler(library_folders({}));
    } catch (const splitdsl::device_error& e) {
        why = e.what();
        return {};
    }
}
} // namespace

#if defined(SPLITDSL_HAS_CUDA_HEADERS)
namespace {
/// Passed alike: the same number of arguments, each a pointer or a number of the same size in both.
template <class A, class B>
constexpr bool alike = sizeof(A) == sizeof(B) && std::is_pointer_v<A> == std::is_pointer_v<B> && std::is_floating_point_v<A> == std::is_floating_point_v<B>;
template <class Theirs, class Ours>
constexpr bool called_alike = false;
template <class R, class... A, class S, class... B>
    requires(sizeof...(A) == sizeof...(B))
constexpr bool called_alike<R (*)(A...), S (*)(B...)> = alike<R, S> && (alike<A, B> && ...);
template <class Theirs, class Ours>
constexpr bool same(Theirs*, Ours*) { return called_alike<Theirs*, Ours*>; }
#define SAME(theirs, table, ours) static_assert(called_alike<decltype(&theirs), decltype(table::ours)>, #theirs)

SAME(cuInit, driver_api, init);
SAME(cuDriverGetVersion, driver_api, version);
SAME(cuDeviceGetCount, driver_api, device_count);
SAME(cuDeviceGet, driver_api, device_get);
SAME(cuDeviceGetName, driver_api, device_name);
SAME(cuDeviceGetAttribute, driver_api, device_number);
SAME(cuDevicePrimaryCtxRetain, driver_api, retain_context);
SAME(cuDevicePrimaryCtxRelease_v2, driver_api, release_context);
SAME(cuCtxSetCurrent, driver_api, use_context);
SAME(cuMemAlloc_v2, driver_api, allocate);
SAME(cuMemFree_v2, driver_api, release);
SAME(cuMemHostAlloc, driver_api, allocate_pinned);
SAME(cuMemFreeHost, driver_api, release_pinned);
SAME(cuMemsetD8_v2, driver_api, fill);
SAME(cuMemcpyHtoD_v2, driver_api, copy_in);
SAME(cuMemcpyHtoDAsync_v2, driver_api, copy_in_async);
SAME(cuMemcpyDtoHAsync_v2, driver_api, copy_out_async);
SAME(cuMemcpyDtoDAsync_v2, driver_api, copy_on_device_async);
SAME(cuStreamCreate, driver_api, create_stream);
SAME(cuStreamDestroy_v2, driver_api, destroy_stream);
SAME(cuStreamSynchronize, driver_api, wait);
SAME(cuEventCreate, driver_api, create_event);
SAME(cuEventDestroy_v2, driver_api, destroy_event);
SAME(cuEventRecord, driver_api, record_event);
SAME(cuEventElapsedTime, driver_api, time_between);
SAME(cuStreamWaitEvent, driver_api, wait_for_event);
SAME(cuStreamBeginCapture_v2, driver_api, begin_capture);
SAME(cuStreamEndCapture, driver_api, end_capture);
SAME(cuGraphInstantiateWithFlags, driver_api, instantiate);
SAME(cuGraphLaunch, driver_api, launch_graph);
SAME(cuGraphDestroy, driver_api, destroy_graph);
SAME(cuGraphExecDestroy, driver_api, destroy_executable);
SAME(cuModuleLoadData, driver_api, load_module);
SAME(cuModuleUnload, driver_api, unload_module);
SAME(cuModuleGetFunction, driver_api, find_kernel);
SAME(cuLaunchKernel, driver_api, launch);
SAME(cuGetErrorName, driver_api, error_name);
SAME(nvrtcVersion, compiler_api, version);
SAME(nvrtcCreateProgram, compiler_api, create);
SAME(nvrtcDestroyProgram, compiler_api, destroy);
SAME(nvrtcCompileProgram, compiler_api, compile);
SAME(nvrtcGetCUBINSize, compiler_api, code_size);
SAME(nvrtcGetCUBIN, compiler_api, code);
SAME(nvrtcGetProgramLogSize, compiler_api, log_size);
SAME(nvrtcGetProgramLog, compiler_api, log);
SAME(nvrtcGetNumSupportedArchs, compiler_api, targets);
SAME(nvrtcGetSupportedArchs, compiler_api, target_list);
SAME(nvrtcGetPTXSize, compiler_api, portable_size);
SAME(nvrtcGetPTX, compiler_api, portable);
SAME(cudnnGetVersion, network_api, version);
SAME(cudnnCreate, network_api, create);
SAME(cudnnDestroy, network_api, destroy);
SAME(cudnnSetStream, network_api, use_stream);
SAME(cudnnBackendCreateDescriptor, network_api, create_descriptor);
SAME(cudnnBackendDestroyDescriptor, network_api, destroy_descriptor);
SAME(cudnnBackendFinalize, network_api, finalise);
SAME(cudnnBackendSetAttribute, network_api, set);
SAME(cudnnBackendGetAttribute, network_api, get);
SAME(cudnnBackendExecute, network_api, execute);
SAME(cudnnGetErrorString, network_api, error_text);

#define EQUAL(theirs, ours) static_assert(static_cast<int>(theirs) == static_cast<int>(ours), #theirs)
EQUAL(CUDA_SUCCESS, driver_ok);
EQUAL(CUDA_ERROR_OUT_OF_MEMORY, driver_out_of_memory);
EQUAL(CUDA_ERROR_NO_DEVICE, driver_no_device);
EQUAL(CUDA_ERROR_DEINITIALIZED, driver_deinitialised);
EQUAL(CUDA_ERROR_ILLEGAL_ADDRESS, driver_illegal_address);
EQUAL(CUDA_ERROR_LAUNCH_TIMEOUT, driver_launch_timeout);
EQUAL(CUDA_ERROR_HARDWARE_STACK_ERROR, driver_hardware_stack);
EQUAL(CUDA_ERROR_MISALIGNED_ADDRESS, driver_misaligned);
EQUAL(CUDA_ERROR_ILLEGAL_INSTRUCTION, driver_illegal_instruction);
EQUAL(CUDA_ERROR_INVALID_PC, driver_invalid_pc);
EQUAL(CUDA_ERROR_ECC_UNCORRECTABLE, driver_ecc);
EQUAL(CUDA_ERROR_LAUNCH_FAILED, driver_launch_failed);
EQUAL(CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, driver_first_of_captures);
EQUAL(CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD, driver_last_of_captures);
EQUAL(CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT, attribute_multiprocessors);
EQUAL(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, attribute_major);
EQUAL(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, attribute_minor);
EQUAL(CU_STREAM_NON_BLOCKING, stream_non_blocking);
EQUAL(CU_EVENT_DEFAULT, event_with_time);
EQUAL(CU_EVENT_DISABLE_TIMING, event_without_time);
EQUAL(CU_STREAM_CAPTURE_MODE_RELAXED, capture_relaxed);
EQUAL(CUDNN_TYPE_HANDLE, dnn::handle_type);
EQUAL(CUDNN_TYPE_DATA_TYPE, dnn::data_type);
EQUAL(CUDNN_TYPE_BOOLEAN, dnn::boolean);
EQUAL(CUDNN_TYPE_INT64, dnn::int64);
EQUAL(CUDNN_TYPE_FLOAT, dnn::float32);
EQUAL(CUDNN_TYPE_DOUBLE, dnn::float64);
EQUAL(CUDNN_TYPE_VOID_PTR, dnn::pointer);
EQUAL(CUDNN_TYPE_CONVOLUTION_MODE, dnn::convolution_mode);
EQUAL(CUDNN_TYPE_HEUR_MODE, dnn::heuristic_mode);
EQUAL(CUDNN_TYPE_NUMERICAL_NOTE, dnn::numerical_note);
EQUAL(CUDNN_TYPE_POINTWISE_MODE, dnn::pointwise_mode);
EQUAL(CUDNN_TYPE_BACKEND_DESCRIPTOR, dnn::descriptor_type);
EQUAL(CUDNN_TYPE_BEHAVIOR_NOTE, dnn::behaviour_note);
EQUAL(CUDNN_DATA_FLOAT, dnn::data_float);
EQUAL(CUDNN_DATA_HALF, dnn::data_half);
EQUAL(CUDNN_DATA_BFLOAT16, dnn::data_bfloat16);
EQUAL(CUDNN_BACKEND_POINTWISE_DESCRIPTOR, dnn::pointwise);
EQUAL(CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR, dnn::convolution);
EQUAL(CUDNN_BACKEND_ENGINE_DESCRIPTOR, dnn::engine);
EQUAL(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, dnn::engine_config);
EQUAL(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, dnn::engine_heuristic);
EQUAL(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, dnn::execution_plan);
EQUAL(CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR, dnn::operation_convolution);
EQUAL(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, dnn::operation_pointwise);
EQUAL(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, dnn::operation_graph);
EQUAL(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, dnn::variant_pack);
EQUAL(CUDNN_BACKEND_TENSOR_DESCRIPTOR, dnn::tensor);
EQUAL(CUDNN_ATTR_POINTWISE_MODE, dnn::pointwise_mode_of);
EQUAL(CUDNN_ATTR_POINTWISE_MATH_PREC, dnn::pointwise_precision);
EQUAL(CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP, dnn::relu_lower_clip);
EQUAL(CUDNN_ATTR_POINTWISE_RELU_LOWER_CLIP_SLOPE, dnn::relu_lower_slope);
EQUAL(CUDNN_ATTR_CONVOLUTION_COMP_TYPE, dnn::convolution_precision);
EQUAL(CUDNN_ATTR_CONVOLUTION_CONV_MODE, dnn::convolution_mode_of);
EQUAL(CUDNN_ATTR_CONVOLUTION_DILATIONS, dnn::convolution_dilations);
EQUAL(CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, dnn::convolution_strides);
EQUAL(CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, dnn::convolution_post_paddings);
EQUAL(CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, dnn::convolution_pre_paddings);
EQUAL(CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, dnn::convolution_dimensions);
EQUAL(CUDNN_ATTR_ENGINEHEUR_MODE, dnn::heuristic_mode_of);
EQUAL(CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, dnn::heuristic_graph);
EQUAL(CUDNN_ATTR_ENGINEHEUR_RESULTS, dnn::heuristic_results);
EQUAL(CUDNN_ATTR_ENGINECFG_ENGINE, dnn::config_engine);
EQUAL(CUDNN_ATTR_EXECUTION_PLAN_HANDLE, dnn::plan_handle);
EQUAL(CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG, dnn::plan_config);
EQUAL(CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, dnn::plan_workspace);
EQUAL(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA, dnn::forward_alpha);
EQUAL(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA, dnn::forward_beta);
EQUAL(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, dnn::forward_convolution);
EQUAL(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, dnn::forward_w);
EQUAL(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, dnn::forward_x);
EQUAL(CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, dnn::forward_y);
EQUAL(CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, dnn::pointwise_descriptor);
EQUAL(CUDNN_ATTR_OPERATION_POINTWISE_XDESC, dnn::pointwise_x);
EQUAL(CUDNN_ATTR_OPERATION_POINTWISE_BDESC, dnn::pointwise_b);
EQUAL(CUDNN_ATTR_OPERATION_POINTWISE_YDESC, dnn::pointwise_y);
EQUAL(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA1, dnn::pointwise_alpha1);
EQUAL(CUDNN_ATTR_OPERATION_POINTWISE_ALPHA2, dnn::pointwise_alpha2);
EQUAL(CUDNN_ATTR_OPERATIONGRAPH_HANDLE, dnn::graph_handle);
EQUAL(CUDNN_ATTR_OPERATIONGRAPH_OPS, dnn::graph_operations);
EQUAL(CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, dnn::tensor_alignment);
EQUAL(CUDNN_ATTR_TENSOR_DATA_TYPE, dnn::tensor_data_type);
EQUAL(CUDNN_ATTR_TENSOR_DIMENSIONS, dnn::tensor_dimensions);
EQUAL(CUDNN_ATTR_TENSOR_STRIDES, dnn::tensor_strides);
EQUAL(CUDNN_ATTR_TENSOR_UNIQUE_ID, dnn::tensor_id);
EQUAL(CUDNN_ATTR_TENSOR_IS_VIRTUAL, dnn::tensor_is_virtual);
EQUAL(CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, dnn::variant_ids);
EQUAL(CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, dnn::variant_pointers);
EQUAL(CUDNN_ATTR_VARIANT_PACK_WORKSPACE, dnn::variant_workspace);
EQUAL(CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, dnn::engine_notes);
EQUAL(CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, dnn::engine_behaviour);
EQUAL(CUDNN_POINTWISE_ADD, dnn::mode_add);
EQUAL(CUDNN_POINTWISE_RELU_FWD, dnn::mode_relu);
EQUAL(CUDNN_CROSS_CORRELATION, dnn::cross_correlation);
EQUAL(CUDNN_HEUR_MODE_A, dnn::heuristic_a);
EQUAL(CUDNN_HEUR_MODE_FALLBACK, dnn::heuristic_fallback);
EQUAL(CUDNN_NUMERICAL_NOTE_TENSOR_CORE, dnn::note_tensor_core);
EQUAL(CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS, dnn::note_short_inputs);
EQUAL(CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION, dnn::note_short_sums);
EQUAL(CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION, dnn::note_compiled_first);
} // namespace
#pragma GCC diagnostic pop

TEST_CASE("GPU: our tables of NVIDIA's functions agree with NVIDIA's headers") { SUCCEED("at compile time"); }
#else
TEST_CASE("GPU: our tables of NVIDIA's functions agree with NVIDIA's headers") {
    std::puts("SKIPPED: cuda.h, nvrtc.h and cudnn.h are not installed here");
    SUCCEED();
}
#endif

TEST_CASE("GPU: NVRTC compiles all device code for an H200 and a Jetson Orin") {
    std::string why;
    const compiler_api nvrtc = try_compiler(why);
    if (!nvrtc.compile) {
        std::puts(("SKIPPED: " + why).c_str());
        SUCCEED();
        return;
    }
    // As users get it in the full tests; here the compiler may be quick about it.
    const bool full = std::getenv("SPLITDSL_TEST_FULL") != nullptr;
    int major = 0, minor = 0;
    nvrtc.version(&major, &minor);
    for (const int arch : {90, 87}) {
        if (arch != 90 && !full) continue;
        const std::vector<char> code = compile_device_code(nvrtc, device_source(), arch, full || major < 13 ? nullptr : "--Ofast-compile=max");
        REQUIRE(code.size() > 1000);
        CHECK(std::string_view(code.data(), 4) == "\177ELF");
        for (int k = 0; k < kernels; ++k)
            for (int e = 0; e < elements; ++e) CHECK(std::string_view(code.data(), code.size()).find(name_of(static_cast<kernel>(k), static_cast<element>(e))) != std::string_view::npos);
    }
    CHECK_THROWS_AS(compile_device_code(nvrtc, "this is no code", 90), splitdsl::device_error);
    // Of a GPU that it does not know the driver gets PTX; of one that it does not know any more, nothing.
    const std::string_view small = "extern \"C\" __global__ void store(int* at) { *at = 1; }";
    const std::vector<char> portable = compile_device_code(nvrtc, std::string(small), 999);
    CHECK(std::string_view(portable.data()).find(".visible .entry store") != std::string_view::npos);
    CHECK(portable.back() == 0);
    CHECK_THROWS_AS(compile_device_code(nvrtc, std::string(small), 10), splitdsl::device_error);
}

TEST_CASE("GPU: with a library comes what it would ask the system for by its name alone, from the same folder") {
    const auto try_with = [](const std::string& library, const std::string& part, auto load) {
        for (const std::string& folder : library_folders({})) {
            if (!std::filesystem::exists(folder + "/" + library) || !std::filesystem::exists(folder + "/" + part)) continue;
            const auto is_loaded = [&] {
                void* const loaded = dlopen((folder + "/" + part).c_str(), RTLD_LAZY | RTLD_NOLOAD);
                return loaded && dlclose(loaded) == 0;
            };
            CHECK_NOTHROW(load(std::vector<std::string>{folder}));
            CHECK(is_loaded());
            return;
        }
        std::puts(("SKIPPED: " + library + " was not found with " + part).c_str());
        SUCCEED();
    };
    std::string why;
    int major = 13, minor = 0;
    if (const compiler_api nvrtc = try_compiler(why); nvrtc.version) nvrtc.version(&major, &minor);
    const std::string version = std::to_string(major);
    try_with("libnvrtc.so." + version, "libnvrtc-builtins.so." + version + "." + std::to_string(minor), [](const auto& folders) { (void)load_compiler(folders); });
    try_with("libcudnn.so.9", "libcudnn_heuristic.so.9", [](const auto& folders) { (void)load_network_library(folders); });
}

TEST_CASE("GPU: nvcc builds the same sources") {
    std::string nvcc;
    for (const char* place : {"/usr/local/cuda/bin/nvcc", "/usr/bin/nvcc"})
        if (nvcc.empty() && std::filesystem::exists(place)) nvcc = place;
    if (nvcc.empty() || std::getenv("SPLITDSL_TEST_FULL") == nullptr) {
        std::puts(nvcc.empty() ? "SKIPPED: nvcc was not found in /usr/local/cuda/bin and /usr/bin" : "SKIPPED: nvcc compiles in the full tests");
        SUCCEED();
        return;
    }
    const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("splitdsl_nvcc_" + std::to_string(getpid()));
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "kernels.cu") << device_source();
    for (const char* arch : {"sm_75", "sm_90", "sm_100"}) {
        const std::string out = (folder / arch).string();
        CHECK(std::system((nvcc + " -std=c++17 --cubin -arch=" + arch + " " + (folder / "kernels.cu").string() + " -o " + out).c_str()) == 0);
        CHECK(std::filesystem::exists(out));
    }
    std::filesystem::remove_all(folder);
}

TEST_CASE("GPU: compiled code is kept on disk, and a damaged file is compiled again") {
    compiler_api counting;
    static int compiled;
    compiled = 0;
    counting.version = [](int* major, int* minor) { return *major = 13, *minor = 0, 0; };
    counting.create = [](handle* p, const char*, const char*, int, const char* const*, const char* const*) { return *p = &compiled, 0; };
    counting.destroy = [](handle*) { return 0; };
    counting.compile = [](handle, int, const char* const*) { return ++compiled, 0; };
    counting.code_size = [](handle, std::size_t* n) { return *n = 40, 0; };
    counting.code = [](handle, char* to) { return std::fill_n(to, 40, 'x'), 0; };
    counting.targets = [](int* n) { return *n = 2, 0; };
    counting.target_list = [](int* to) { return to[0] = 87, to[1] = 90, 0; };
    const std::filesystem::path folder = std::filesystem::temp_directory_path() / ("splitdsl_code_" + std::to_string(getpid()));
    const std::vector<char> first = device_code(counting, "source", 90, folder.string());
    CHECK(device_code(counting, "source", 90, folder.string()) == first);
    CHECK(compiled == 1);
    device_code(counting, "source", 87, folder.string());
    device_code(counting, "other source", 90, folder.string());
    CHECK(compiled == 3);
    for (const auto& file : std::filesystem::directory_iterator(folder)) std::filesystem::resize_file(file, 20);
    CHECK(device_code(counting, "source", 90, folder.string()) == first);
    CHECK(compiled == 4);
    CHECK(device_code(counting, "source", 90, "/proc/no such folder") == first);
    std::filesystem::remove_all(folder);
}
