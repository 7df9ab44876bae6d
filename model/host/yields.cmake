# The target `yields` holds the rooms below to model/host/yield.h: clang's thread-safety analysis and
# yields.py read each of their sources. A stamp for each source makes a warm run instant.
# Not yet: conformance.
set(rooms_held_to_yields cache client pages policies protocol server settings)

find_program(XENFS_CLANGXX NAMES clang++ clang++-19 clang++-14
             DOC "The clang++ that checks what may yield (model/host/yields.cmake)")
if(NOT XENFS_CLANGXX)
  message(STATUS "clang++ is not here: the target `yields` fails")
  add_custom_target(yields COMMAND ${CMAKE_COMMAND} -E echo "yields: clang++ is not here (Debian: clang)"
                    COMMAND ${CMAKE_COMMAND} -E false VERBATIM)
else()
  set(stamps "")
  function(xenfs_check_yields source)
    set(stamp ${PROJECT_BINARY_DIR}/yields/${source}.checked)
    get_filename_component(directory ${stamp} DIRECTORY)
    file(MAKE_DIRECTORY ${directory})
    add_custom_command(
      OUTPUT ${stamp} DEPFILE ${stamp}.d
      COMMAND ${ARGN} ${PROJECT_SOURCE_DIR}/${source} -- -I${PROJECT_BINARY_DIR}/generated
              -MD -MF ${stamp}.d -MT ${stamp}
      COMMAND ${CMAKE_COMMAND} -E touch ${stamp}
      DEPENDS ${PROJECT_SOURCE_DIR}/${source} ${PROJECT_SOURCE_DIR}/model/host/yields.py
      COMMENT "Yields in ${source}" VERBATIM)
    set(stamps ${stamps} ${stamp} PARENT_SCOPE)
  endfunction()

  set(check /usr/bin/python3 ${PROJECT_SOURCE_DIR}/model/host/yields.py --compiler ${XENFS_CLANGXX})
  # That the check can fail: these two say what must be found in them.
  xenfs_check_yields(model/host/yield_shapes.cpp ${check} --verify)
  xenfs_check_yields(model/host/yield_references.cpp ${check} --expect)
  foreach(room IN LISTS rooms_held_to_yields)
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS RELATIVE ${PROJECT_SOURCE_DIR}
         ${PROJECT_SOURCE_DIR}/model/${room}/*.cpp)
    list(FILTER sources EXCLUDE REGEX "_test[.]cpp$|_fuzz[.]cpp$|/tests/")
    foreach(source IN LISTS sources)
      xenfs_check_yields(${source} ${check})
    endforeach()
  endforeach()
  add_custom_target(yields DEPENDS ${stamps})
endif()

# Once is enough: the check does not depend on how the code is built.
if(XENFS_TESTS AND NOT XENFS_SANITIZE)
  add_test(NAME yields COMMAND ${CMAKE_COMMAND} --build ${PROJECT_BINARY_DIR} --target yields)
  set_tests_properties(yields PROPERTIES LABELS fast TIMEOUT 600)
endif()
