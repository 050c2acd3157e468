/* What Glibc's Swift module lacks. */
