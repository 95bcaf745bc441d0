# Writes HEADER, which says what SOURCE was built from; only where that has changed, so that nothing is
# compiled for nothing. A folder without git, such as an unpacked archive, is "unknown".
#   cmake -D SOURCE=DIR -D HEADER=FILE -P commit.cmake
cmake_minimum_required(VERSION 3.18)
find_package(Git QUIET)
set(COMMIT "")
if(Git_FOUND AND EXISTS ${SOURCE}/.git)
  execute_process(COMMAND ${GIT_EXECUTABLE} describe --always --dirty --abbrev=12
                  WORKING_DIRECTORY ${SOURCE} OUTPUT_VARIABLE COMMIT
                  OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
endif()
if(NOT COMMIT)
  set(COMMIT unknown)
endif()
file(CONFIGURE OUTPUT ${HEADER} CONTENT "#define TARE_GIT_COMMIT \"@COMMIT@\"\n" @ONLY)
