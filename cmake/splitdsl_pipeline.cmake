# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# splitdsl_add_pipeline(NAME SOURCES file.cpp... [INSTRUCTION_SETS baseline sse4_2 avx2_fma avx512 neon] [LIBRARIES lib...])
#
# Compiles each source once per instruction set, so that a program built for the plainest machine runs fast on every one.
# NAME becomes a static-like library: link it, and ask the dispatcher for the pipeline. Its code is position independent, so it goes
# into a shared library as well.
#
# Each source is compiled
#   - once per instruction set, with SPLITDSL_PIPELINE_ISA=<name> (one object library NAME_<name> each), and
#   - once for the base, with SPLITDSL_PIPELINE_DISPATCHER=1 and SPLITDSL_PIPELINE_HAS_<name>=1 for every set that was built;
#     this object chooses at start by what the processor can do.
#
# Instruction sets and their flags; on other processors only baseline is built:
#   x86-64    baseline (none: SSE2), sse4_2 (-msse4.2; only where it is asked for), avx2_fma (-mavx2 -mfma), avx512 (-mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma)
#   AArch64   neon (none: NEON is the base)
#
# Cost: the source's compile time once per instruction set.

# splitdsl_instruction_sets(VARIABLE): what splitdsl_add_pipeline builds here by default.
function(splitdsl_instruction_sets variable)
    if(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
        set(${variable} baseline avx2_fma avx512 PARENT_SCOPE)
    elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(aarch64|arm64|ARM64)$")
        set(${variable} neon PARENT_SCOPE)
    else()
        set(${variable} baseline PARENT_SCOPE)
    endif()
endfunction()

function(splitdsl_add_pipeline name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "SOURCES;INSTRUCTION_SETS;LIBRARIES")
    if(NOT arg_SOURCES)
        message(FATAL_ERROR "splitdsl_add_pipeline(${name}): SOURCES names no file")
    endif()
    if(arg_UNPARSED_ARGUMENTS)
        message(FATAL_ERROR "splitdsl_add_pipeline(${name}): unknown arguments: ${arg_UNPARSED_ARGUMENTS}")
    endif()
    splitdsl_instruction_sets(usual)
    set(known ${usual})
    if(avx2_fma IN_LIST usual)
        list(INSERT known 1 sse4_2)
    endif()
    if(NOT arg_INSTRUCTION_SETS)
        set(arg_INSTRUCTION_SETS ${SPLITDSL_INSTRUCTION_SETS})
    endif()
    if(NOT arg_INSTRUCTION_SETS)
        set(arg_INSTRUCTION_SETS ${usual})
    endif()

    # Set here and not at file level: the function may be called from a folder that does not see this file's variables.
    set(flags_baseline "")
    set(flags_neon "")
    set(flags_sse4_2 -msse4.2)
    set(flags_avx2_fma -mavx2 -mfma)
    set(flags_avx512 -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx2 -mfma)

    add_library(${name} STATIC ${arg_SOURCES})
    target_link_libraries(${name} PUBLIC splitdsl::splitdsl ${arg_LIBRARIES})
    target_compile_definitions(${name} PRIVATE SPLITDSL_PIPELINE_DISPATCHER=1)
    set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON)
    foreach(set IN LISTS arg_INSTRUCTION_SETS)
        if(NOT set IN_LIST known)
            message(FATAL_ERROR "splitdsl_add_pipeline(${name}): instruction set '${set}' is not one of: ${known}")
        endif()
        add_library(${name}_${set} OBJECT ${arg_SOURCES})
        target_link_libraries(${name}_${set} PRIVATE splitdsl::splitdsl ${arg_LIBRARIES})
        target_compile_definitions(${name}_${set} PRIVATE SPLITDSL_PIPELINE_ISA=${set})
        # No contraction of a * b + c behind the source's back: kernels that want a fused operation say so.
        target_compile_options(${name}_${set} PRIVATE ${flags_${set}} -ffp-contract=off)
        target_sources(${name} PRIVATE $<TARGET_OBJECTS:${name}_${set}>)
        target_compile_definitions(${name} PRIVATE SPLITDSL_PIPELINE_HAS_${set}=1)
        set_target_properties(${name}_${set} PROPERTIES POSITION_INDEPENDENT_CODE ON)
        set_property(GLOBAL APPEND PROPERTY SPLITDSL_PIPELINE_OBJECTS ${name}_${set})
    endforeach()
    set_property(TARGET ${name} PROPERTY SPLITDSL_PIPELINE_SETS ${arg_INSTRUCTION_SETS})
    set_property(GLOBAL APPEND PROPERTY SPLITDSL_PIPELINES ${name})
endfunction()
