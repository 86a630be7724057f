# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# cmake -DNM=nm -DTAG=arch_avx2_fma -DOBJECTS="a.o;b.o" -P weak_symbols.cmake
#
# A weak symbol of an object built for AVX-512 may be the copy the linker keeps for everybody, and then a plain machine dies of
# an illegal instruction in, say, std::vector::push_back. So each weak or unique symbol must carry the architecture's namespace
# in its name. The one exception holds data only: DW.ref.*, a pointer to the exception personality routine.
set(leaks "")
set(count 0)
foreach(object IN LISTS OBJECTS)
    execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE listing RESULT_VARIABLE result ERROR_VARIABLE problem)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "${NM} failed on ${object}: ${problem}")
    endif()
    string(REGEX MATCHALL "[^\n]+" lines "${listing}")
    foreach(line IN LISTS lines)
        if(line MATCHES "^[0-9a-fA-F]+ ([WVuvw]) (.+)$")
            set(symbol "${CMAKE_MATCH_2}")
            math(EXPR count "${count} + 1")
            if(NOT symbol MATCHES "${TAG}" AND NOT symbol MATCHES "^DW\\.ref\\.")
                string(APPEND leaks "\n  ${CMAKE_MATCH_1} ${symbol}")
            endif()
        endif()
    endforeach()
endforeach()
if(leaks)
    message(FATAL_ERROR "weak symbols without ${TAG} in their name (demangle with c++filt):${leaks}")
endif()
message(STATUS "${count} weak symbols, all of them inside ${TAG}")
