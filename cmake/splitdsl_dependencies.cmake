# SPDX-FileCopyrightText: The splitdsl authors
# SPDX-License-Identifier: BSD-3-Clause
#
# Finds what splitdsl::splitdsl builds on. Used by the project itself and by the installed package, so that both look alike.

# splitdsl_find_headers(NAME HEADERS...): a header-only dependency as the target splitdsl_dependency::NAME.
# HEADERS: files of which one must exist (a library's headers may move between versions). The extra roots that belong to the
# dependency follow ROOTS and matter only to cross builds: there a host's /usr/include must not become an include path, so
# those roots alone are linked into a folder of their own.
function(splitdsl_find_headers name)
    cmake_parse_arguments(PARSE_ARGV 1 arg "" "" "HEADERS;ROOTS")
    find_path(SPLITDSL_${name}_INCLUDE_DIR NAMES ${arg_HEADERS})
    set(found ${SPLITDSL_${name}_INCLUDE_DIR})
    if(NOT found AND CMAKE_CROSSCOMPILING)
        find_path(SPLITDSL_${name}_HOST_INCLUDE_DIR NAMES ${arg_HEADERS} PATHS /usr/include NO_CMAKE_FIND_ROOT_PATH)
        if(SPLITDSL_${name}_HOST_INCLUDE_DIR)
            set(found ${CMAKE_BINARY_DIR}/header_only/${name})
            file(MAKE_DIRECTORY ${found})
            foreach(root IN LISTS arg_ROOTS)
                if(EXISTS ${SPLITDSL_${name}_HOST_INCLUDE_DIR}/${root})
                    file(CREATE_LINK ${SPLITDSL_${name}_HOST_INCLUDE_DIR}/${root} ${found}/${root} SYMBOLIC)
                endif()
            endforeach()
        endif()
    endif()
    mark_as_advanced(SPLITDSL_${name}_INCLUDE_DIR SPLITDSL_${name}_HOST_INCLUDE_DIR)
    if(NOT found)
        set(splitdsl_missing_headers ${splitdsl_missing_headers} ${name} PARENT_SCOPE)
    elseif(NOT TARGET splitdsl_dependency::${name})
        add_library(splitdsl_dependency::${name} INTERFACE IMPORTED GLOBAL)
        set_target_properties(splitdsl_dependency::${name} PROPERTIES INTERFACE_INCLUDE_DIRECTORIES "${found}")
    endif()
endfunction()

# splitdsl_find_turbojpeg(): the target splitdsl_dependency::turbojpeg if libturbojpeg is there.
function(splitdsl_find_turbojpeg)
    find_path(SPLITDSL_turbojpeg_INCLUDE_DIR turbojpeg.h)
    find_library(SPLITDSL_turbojpeg_LIBRARY turbojpeg)
    mark_as_advanced(SPLITDSL_turbojpeg_INCLUDE_DIR SPLITDSL_turbojpeg_LIBRARY)
    if(SPLITDSL_turbojpeg_INCLUDE_DIR AND SPLITDSL_turbojpeg_LIBRARY AND NOT TARGET splitdsl_dependency::turbojpeg)
        add_library(splitdsl_dependency::turbojpeg UNKNOWN IMPORTED GLOBAL)
        set_target_properties(splitdsl_dependency::turbojpeg PROPERTIES
            IMPORTED_LOCATION "${SPLITDSL_turbojpeg_LIBRARY}" INTERFACE_INCLUDE_DIRECTORIES "${SPLITDSL_turbojpeg_INCLUDE_DIR}")
    endif()
endfunction()

# splitdsl_find_required_headers(): xtensor, xsimd, cereal, Asio and threads; what is absent is named in splitdsl_missing_headers.
macro(splitdsl_find_required_headers)
    set(splitdsl_missing_headers "")
    splitdsl_find_headers(xtensor HEADERS xtensor/xtensor.hpp xtensor/containers/xtensor.hpp ROOTS xtensor xtl)
    splitdsl_find_headers(xsimd HEADERS xsimd/xsimd.hpp ROOTS xsimd)
    splitdsl_find_headers(cereal HEADERS cereal/cereal.hpp ROOTS cereal)
    splitdsl_find_headers(asio HEADERS asio.hpp ROOTS asio asio.hpp)
    find_package(Threads QUIET)
    if(NOT Threads_FOUND)
        list(APPEND splitdsl_missing_headers threads)
    endif()
endmacro()

# splitdsl_probe_dependencies(): finds everything, sets splitdsl_missing_headers and splitdsl_{parallel,jpeg,png}_default.
macro(splitdsl_probe_dependencies)
    splitdsl_find_required_headers()
    set(splitdsl_parallel_default none)
    set(splitdsl_jpeg_default OFF)
    set(splitdsl_png_default OFF)
    # What was switched off is not even looked for, so that a bare build sees what a bare machine sees.
    if(NOT SPLITDSL_PARALLEL STREQUAL "none")
        find_package(TBB CONFIG QUIET)
        if(TARGET TBB::tbb)
            set(splitdsl_parallel_default tbb)
        endif()
    endif()
    if(SPLITDSL_JPEG OR NOT DEFINED SPLITDSL_JPEG)
        splitdsl_find_turbojpeg()
        if(TARGET splitdsl_dependency::turbojpeg)
            set(splitdsl_jpeg_default ON)
        endif()
    endif()
    if(SPLITDSL_PNG OR NOT DEFINED SPLITDSL_PNG)
        find_package(PNG QUIET)
        if(TARGET PNG::PNG)
            set(splitdsl_png_default ON)
        endif()
    endif()
endmacro()

# splitdsl_optional(TARGET DEFINITION VALUE WANTED DEPENDENCY): links DEPENDENCY and defines DEFINITION to 1 if VALUE is WANTED,
# else defines it to 0.
function(splitdsl_optional target definition value wanted dependency)
    if(value STREQUAL wanted OR (wanted STREQUAL "ON" AND value))
        if(NOT TARGET ${dependency})
            message(FATAL_ERROR "splitdsl: ${definition} was asked for, but ${dependency} was not found")
        endif()
        target_link_libraries(${target} INTERFACE ${dependency})
        target_compile_definitions(${target} INTERFACE ${definition}=1)
    else()
        target_compile_definitions(${target} INTERFACE ${definition}=0)
    endif()
endfunction()
