# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# cmake -DNM=nm -DALONE=program -DBESIDE=program -DDISPATCHED="a.o" -DHEADER_ONLY="b.o" -P own_code.cmake
#
# An object of the user's own with -march=native may hold instructions that the dispatcher does not ask the processor for. If it defined a
# kernel by the name that a pipeline's object uses, the linker could keep the user's for both. So they share no weak symbol of an
# architecture's namespace, and the pipeline's answer has the same bits with that object in front of it and without.
cmake_minimum_required(VERSION 3.25)
function(kernels variable)
    set(found "")
    foreach(object IN LISTS ARGN)
        execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE listing COMMAND_ERROR_IS_FATAL ANY)
        string(REGEX MATCHALL "[WVuvw] [^\n]*arch_[^\n]*" lines "${listing}")
        list(APPEND found ${lines})
    endforeach()
    if(NOT found)
        message(FATAL_ERROR "no kernels were found in ${ARGN}")
    endif()
    set(${variable} ${found} PARENT_SCOPE)
endfunction()
kernels(dispatched ${DISPATCHED})
kernels(header_only ${HEADER_ONLY})
set(both "")
foreach(symbol IN LISTS dispatched)
    if(symbol IN_LIST header_only)
        string(APPEND both "\n  ${symbol}")
    endif()
endforeach()
if(both)
    message(FATAL_ERROR "kernels that both objects define (demangle with c++filt):${both}")
endif()
execute_process(COMMAND ${ALONE} OUTPUT_VARIABLE alone COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${BESIDE} OUTPUT_VARIABLE beside COMMAND_ERROR_IS_FATAL ANY)
if(NOT alone STREQUAL beside)
    message(FATAL_ERROR "the pipeline answers otherwise beside a header-only file:\n${alone}\n${beside}")
endif()
