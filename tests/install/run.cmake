# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Installs into a fresh prefix, then builds and runs consumers from a fresh folder that knows nothing but that prefix.
file(REMOVE_RECURSE ${WORK_DIR})
set(prefix ${WORK_DIR}/prefix)
execute_process(COMMAND ${CMAKE_COMMAND} --install ${BUILD_DIR} --prefix ${prefix} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)

# No path of this machine may have been written into the package.
file(GLOB_RECURSE installed ${prefix}/*.cmake)
get_filename_component(project ${SOURCE_DIR}/../.. ABSOLUTE)
foreach(file IN LISTS installed)
    file(READ ${file} text)
    foreach(path IN ITEMS ${project} ${BUILD_DIR} ${prefix})
        string(FIND "${text}" "${path}" at)
        if(NOT at EQUAL -1)
            message(FATAL_ERROR "${file} contains the absolute path ${path}")
        endif()
    endforeach()
endforeach()

foreach(consumer language_only whole shared_library)
    file(COPY ${SOURCE_DIR}/${consumer} DESTINATION ${WORK_DIR}/source)
    execute_process(COMMAND ${CMAKE_COMMAND} -S ${WORK_DIR}/source/${consumer} -B ${WORK_DIR}/build/${consumer} -G ${GENERATOR}
        -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_PREFIX_PATH=${prefix} -DCMAKE_EXPORT_COMPILE_COMMANDS=ON COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND ${CMAKE_COMMAND} --build ${WORK_DIR}/build/${consumer} COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND ${WORK_DIR}/build/${consumer}/consumer COMMAND_ERROR_IS_FATAL ANY)
    # The consumer's compile command carries no optimisation, architecture or warning flag of ours.
    file(READ ${WORK_DIR}/build/${consumer}/compile_commands.json commands)
    if(consumer STREQUAL "language_only" AND commands MATCHES " (-march|-mavx|-O[0-9s]|-W)[^ ]*")
        message(FATAL_ERROR "splitdsl::language passes ${CMAKE_MATCH_0} on to its consumers")
    endif()
    string(REGEX REPLACE "\"command\": \"[^\"]*SPLITDSL_PIPELINE_(ISA|DISPATCHER)[^\"]*\"" "" commands "${commands}")
    if(commands MATCHES " (-march|-mavx|-O[0-9s]|-W)[^ ]*")
        message(FATAL_ERROR "splitdsl::splitdsl passes ${CMAKE_MATCH_0} on to its consumers")
    endif()
endforeach()

# A component that does not exist is refused in words.
file(WRITE ${WORK_DIR}/source/unknown/CMakeLists.txt
    "cmake_minimum_required(VERSION 3.25)\nproject(unknown CXX)\nfind_package(splitdsl REQUIRED COMPONENTS nonsense)\n")
execute_process(COMMAND ${CMAKE_COMMAND} -S ${WORK_DIR}/source/unknown -B ${WORK_DIR}/build/unknown -G ${GENERATOR}
    -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_PREFIX_PATH=${prefix} RESULT_VARIABLE result ERROR_VARIABLE text OUTPUT_QUIET)
if(result EQUAL 0 OR NOT text MATCHES "no component 'nonsense'")
    message(FATAL_ERROR "an unknown component was not refused: ${text}")
endif()

# A project that embeds this one by add_subdirectory installs what is its own, and ours where it asks for that.
file(WRITE ${WORK_DIR}/source/embedding/CMakeLists.txt
    "cmake_minimum_required(VERSION 3.25)\nproject(embedding CXX)\nadd_subdirectory(${project} splitdsl)\ninstall(FILES CMakeLists.txt DESTINATION own)\n")
foreach(asked OFF ON)
    set(embedded ${WORK_DIR}/embedded_${asked})
    set(option)
    if(asked)
        set(option -DSPLITDSL_INSTALL=ON)
    endif()
    execute_process(COMMAND ${CMAKE_COMMAND} -S ${WORK_DIR}/source/embedding -B ${embedded}/build -G ${GENERATOR}
        -DCMAKE_CXX_COMPILER=${CXX} ${option} OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
    execute_process(COMMAND ${CMAKE_COMMAND} --install ${embedded}/build --prefix ${embedded}/prefix OUTPUT_QUIET COMMAND_ERROR_IS_FATAL ANY)
    file(GLOB_RECURSE ours ${embedded}/prefix/*splitdsl*)
    if(NOT EXISTS ${embedded}/prefix/own/CMakeLists.txt OR (ours AND NOT asked) OR (asked AND NOT ours))
        message(FATAL_ERROR "embedded with SPLITDSL_INSTALL ${asked}, this was installed of ours: ${ours}")
    endif()
endforeach()
