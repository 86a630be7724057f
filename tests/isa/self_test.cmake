# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# The check must pass on an object whose weak symbols all carry the tag, and fail on one that leaks std::vector's.
file(MAKE_DIRECTORY ${WORK_DIR})
foreach(kind clean leaking)
    set(object ${WORK_DIR}/${kind}.o)
    execute_process(COMMAND ${CXX} -std=c++20 -O0 -c ${SOURCE_DIR}/${kind}.cpp -o ${object} COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND ${CMAKE_COMMAND} -DNM=${NM} -DTAG=arch_avx2_fma -DOBJECTS=${object} -P ${SOURCE_DIR}/weak_symbols.cmake
        RESULT_VARIABLE result ERROR_VARIABLE text OUTPUT_QUIET)
    if(kind STREQUAL "clean" AND NOT result EQUAL 0)
        message(FATAL_ERROR "the clean object was refused: ${text}")
    endif()
    if(kind STREQUAL "leaking" AND NOT (result AND text MATCHES "push_back"))
        message(FATAL_ERROR "the leak of push_back was not found: ${text}")
    endif()
endforeach()
