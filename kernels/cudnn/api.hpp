// SPDX-FileCopyrightText: The splitdsl authors
// SPDX-License-Identifier: BSD-3-Clause
/// @file api.hpp
/// The functions of NVIDIA's driver, NVRTC and cuDNN that we call, as tables of pointers, with the few numbers they take.
///
/// No CUDA header is needed: these are the libraries' C interfaces, which are stable (a test compares every line with the real headers
/// where they are installed). A test's tables run on a machine without a device.
#pragma once

#include <cstddef>
#include <cstdint>

namespace splitdsl::kernels::cudnn {

using device_address = unsigned long long;      ///< CUdeviceptr
using handle = void*;                           ///< of a context, stream, graph, module, function, descriptor, ...

/// CUresult.
enum driver_status : int {
    driver_ok = 0,
    driver_out_of_memory = 2,
    driver_deinitialised = 4,
    driver_no_device = 100,
    driver_illegal_address = 700,
    driver_launch_timeout = 702,
    driver_hardware_stack = 714,
    driver_misaligned = 716,
    driver_illegal_instruction = 715,
    driver_invalid_pc = 718,
    driver_launch_failed = 719,
    driver_ecc = 214,
    driver_first_of_captures = 900,     ///< CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
    driver_last_of_captures = 908,      ///< CUDA_ERROR_STREAM_CAPTURE_WRONG_THREAD
};
enum device_attribute : int { attribute_multiprocessors = 16, attribute_major = 75, attribute_minor = 76 };
inline constexpr unsigned stream_non_blocking = 1;      ///< CU_STREAM_NON_BLOCKING
inline constexpr unsigned event_with_time = 0, event_without_time = 2;      ///< CU_EVENT_DEFAULT, CU_EVENT_DISABLE_TIMING
/// CU_STREAM_CAPTURE_MODE_RELAXED: cuDNN may load a kernel while a graph that starts it is captured.
inline constexpr int capture_relaxed = 2;

struct driver_api {
    int (*init)(unsigned flags){};
    int (*version)(int* version){};
    int (*device_count)(int* count){};
    int (*device_get)(int* device, int ordinal){};
    int (*device_name)(char* name, int room, int device){};
    int (*device_number)(int* value, int attribute, int device){};
    int (*retain_context)(handle* context, int device){};
    int (*release_context)(int device){};
    int (*use_context)(handle context){};
    int (*allocate)(device_address* at, std::size_t bytes){};
    int (*release)(device_address at){};
    int (*allocate_pinned)(void** at, std::size_t bytes, unsigned flags){};
    int (*release_pinned)(void* at){};
    int (*fill)(device_address at, unsigned char value, std::size_t bytes){};
    int (*copy_in)(device_address to, const void* from, std::size_t bytes){};
    int (*copy_in_async)(device_address to, const void* from, std::size_t bytes, handle stream){};
    int (*copy_out_async)(void* to, device_address from, std::size_t bytes, handle stream){};
    int (*copy_on_device_async)(device_address to, device_address from, std::size_t bytes, handle stream){};
    int (*create_stream)(handle* stream, unsigned flags){};
    int (*destroy_stream)(handle stream){};
    int (*wait)(handle stream){};
    int (*create_event)(handle* event, unsigned flags){};
    int (*destroy_event)(handle event){};
    int (*record_event)(handle event, handle stream){};
    int (*wait_for_event)(handle stream, handle event, unsigned flags){};
    int (*time_between)(float* milliseconds, handle first, handle then){};
    int (*begin_capture)(handle stream, int mode){};
    int (*end_capture)(handle stream, handle* graph){};
    int (*instantiate)(handle* executable, handle graph, unsigned long long flags){};
    int (*launch_graph)(handle executable, handle stream){};
    int (*destroy_graph)(handle graph){};
    int (*destroy_executable)(handle executable){};
    int (*load_module)(handle* module, const void* image){};
    int (*unload_module)(handle module){};
    int (*find_kernel)(handle* function, handle module, const char* name){};
    int (*launch)(handle function, unsigned grid_x, unsigned grid_y, unsigned grid_z, unsigned block_x, unsigned block_y, unsigned block_z, unsigned shared_bytes, handle stream,
                  void** parameters, void** extra){};
    int (*error_name)(int error, const char** name){};
};

struct compiler_api {
    int (*version)(int* major, int* minor){};
    int (*create)(handle* program, const char* source, const char* name, int headers, const char* const* header_sources, const char* const* header_names){};
    int (*destroy)(handle* program){};
    int (*compile)(handle program, int options, const char* const* option_list){};
    int (*code_size)(handle program, std::size_t* bytes){};
    int (*code)(handle program, char* to){};
    int (*log_size)(handle program, std::size_t* bytes){};
    int (*log)(handle program, char* to){};
    int (*targets)(int* count){};
    int (*target_list)(int* to){};
    int (*portable_size)(handle program, std::size_t* bytes){};
    int (*portable)(handle program, char* to){};
};

/// cuDNN's backend: descriptors of typed attributes, which together describe a graph of operations.
struct network_api {
    std::size_t (*version)(){};
    int (*create)(handle* of){};
    int (*destroy)(handle of){};
    int (*use_stream)(handle of, handle stream){};
    int (*create_descriptor)(int kind, handle* descriptor){};
    int (*destroy_descriptor)(handle descriptor){};
    int (*finalise)(handle descriptor){};
    int (*set)(handle descriptor, int attribute, int type, std::int64_t count, const void* values){};
    int (*get)(handle descriptor, int attribute, int type, std::int64_t room, std::int64_t* count, void* values){};
    int (*execute)(handle of, handle plan, handle variant){};
    const char* (*error_text)(int error){};
};

/// Numbers of cuDNN's backend, by the names they have there.
namespace dnn {
enum type : int { handle_type = 0, data_type = 1, boolean = 2, int64 = 3, float32 = 4, float64 = 5, pointer = 6, convolution_mode = 7, heuristic_mode = 8, numerical_note = 11, pointwise_mode = 14, descriptor_type = 15, behaviour_note = 19 };
enum data : int { data_float = 0, data_half = 2, data_bfloat16 = 9 };
enum kind : int { pointwise = 0, convolution = 1, engine = 2, engine_config = 3, engine_heuristic = 4, execution_plan = 5, operation_convolution = 10, operation_pointwise = 13, operation_graph = 15, variant_pack = 16, tensor = 17 };
enum attribute : int {
    pointwise_mode_of = 0, pointwise_precision = 1, relu_lower_clip = 3, relu_lower_slope = 5,
    convolution_precision = 100, convolution_mode_of = 101, convolution_dilations = 102, convolution_strides = 103, convolution_post_paddings = 104, convolution_pre_paddings = 105,
    convolution_dimensions = 106,
    heuristic_mode_of = 200, heuristic_graph = 201, heuristic_results = 202,
    config_engine = 300,
    plan_handle = 400, plan_config = 401, plan_workspace = 402,
    forward_alpha = 700, forward_beta = 701, forward_convolution = 702, forward_w = 703, forward_x = 704, forward_y = 705,
    pointwise_descriptor = 750, pointwise_x = 751, pointwise_b = 752, pointwise_y = 753, pointwise_alpha1 = 754, pointwise_alpha2 = 755,
    graph_handle = 800, graph_operations = 801,
    tensor_alignment = 900, tensor_data_type = 901, tensor_dimensions = 902, tensor_strides = 903, tensor_id = 906, tensor_is_virtual = 907,
    variant_ids = 1000, variant_pointers = 1001, variant_workspace = 1003,
    engine_notes = 1303, engine_behaviour = 1305
};
enum mode : int { mode_add = 0, mode_relu = 100, cross_correlation = 1, heuristic_instant = 0, heuristic_fallback = 2, heuristic_a = 3, note_tensor_core = 0, note_short_inputs = 1, note_short_sums = 2, note_compiled_first = 0 };
} // namespace dnn

} // namespace splitdsl::kernels::cudnn
