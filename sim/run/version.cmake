# Writes VERSION_FILE: the commit and whether the tree has changes. Run at every build; the program
# reads the file, so that a commit alone changes no binary (and no experiment runs again for it).
execute_process(COMMAND git -C ${SOURCE_DIR} rev-parse --short=12 HEAD OUTPUT_VARIABLE commit
                OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET RESULT_VARIABLE failed)
execute_process(COMMAND git -C ${SOURCE_DIR} status --porcelain --untracked-files=no
                OUTPUT_VARIABLE changes ERROR_QUIET)
if(failed)
  set(commit unknown)
endif()
set(dirty false)
if(changes)
  set(dirty true)
endif()
set(text "{\"commit\": \"${commit}\", \"dirty\": ${dirty}}\n")
set(old "")
if(EXISTS ${VERSION_FILE})
  file(READ ${VERSION_FILE} old)
endif()
if(NOT old STREQUAL text)
  file(WRITE ${VERSION_FILE} ${text})
endif()
