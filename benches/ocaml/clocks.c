/* The clocks and the peak memory of this process, for the OCaml benchmark program. */
#include <caml/alloc.h>
#include <caml/mlvalues.h>
#include <sys/resource.h>
#include <time.h>

static value nanoseconds(clockid_t clock)
{
  struct timespec now;
  clock_gettime(clock, &now);
  return Val_long((long)now.tv_sec * 1000000000L + now.tv_nsec);
}

value clocks_cpu_ns(value unit) { (void)unit; return nanoseconds(CLOCK_PROCESS_CPUTIME_ID); }

value clocks_wall_ns(value unit) { (void)unit; return nanoseconds(CLOCK_MONOTONIC); }

value clocks_peak_bytes(value unit)
{
  struct rusage usage;
  (void)unit;
  getrusage(RUSAGE_SELF, &usage);
  return Val_long(usage.ru_maxrss * 1024L);
}
