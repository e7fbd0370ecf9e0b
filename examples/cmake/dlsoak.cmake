# Soaks shared libraries as tests of CTest. See docs/pipelines.md.
#
#   dlsoak_add_test(
#     TARGETS <target>...     # SHARED or MODULE libraries; a test `soak.<target>` for each
#     [CALL <call>...]        # calls that each cycle makes, as for `dlsoak run --call`
#     [ARGS <argument>...]    # further arguments of `dlsoak run`
#   )
#
# A test fails if a library leaks, stays loaded, crashes or leaves something behind. A soak without a certain verdict (exit code 3) is
# skipped. The reports are in `soak/<target>` of the build directory. DLSOAK names the program if it is not on PATH.

include_guard(GLOBAL)

find_program(DLSOAK dlsoak HINTS "${CMAKE_CURRENT_LIST_DIR}/../../../bin" DOC "The program dlsoak")

function(dlsoak_add_test)
  cmake_parse_arguments(PARSE_ARGV 0 soak "" "" "TARGETS;CALL;ARGS")
  if(soak_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "dlsoak_add_test: unknown arguments: ${soak_UNPARSED_ARGUMENTS}")
  endif()
  if(NOT soak_TARGETS)
    message(FATAL_ERROR "dlsoak_add_test: TARGETS names no library")
  endif()
  if(NOT DLSOAK)
    message(FATAL_ERROR "dlsoak_add_test: dlsoak is not on PATH; install it, or set DLSOAK to the program")
  endif()
  set(calls "")
  foreach(call IN LISTS soak_CALL)
    list(APPEND calls --call "${call}")
  endforeach()
  foreach(target IN LISTS soak_TARGETS)
    add_test(
      NAME "soak.${target}"
      COMMAND "${DLSOAK}" run "$<TARGET_FILE:${target}>" ${calls} ${soak_ARGS}
              --out "${CMAKE_CURRENT_BINARY_DIR}/soak/${target}"
    )
    set_tests_properties("soak.${target}" PROPERTIES SKIP_RETURN_CODE 3 LABELS soak)
  endforeach()
endfunction()
