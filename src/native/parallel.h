// Work shared among threads. With OpenMP the threads are those of the library that torch has already loaded.
#pragma once

#include <atomic>
#include <cstdint>
#ifndef _OPENMP
#include <thread>
#include <vector>
#endif

namespace laxity {

// Calls work(worker, task) once for every task in [0, tasks), in any order, on at most `threads` threads.
// `work` must not throw.
template <class Work>
void parallel_for(int threads, int64_t tasks, const Work& work) {
  if (threads > tasks) threads = static_cast<int>(tasks);
  if (threads <= 1) {
    for (int64_t task = 0; task < tasks; ++task) work(0, task);
    return;
  }
  std::atomic<int64_t> next{0};
  const auto loop = [&](int worker) {
    for (int64_t task; (task = next.fetch_add(1, std::memory_order_relaxed)) < tasks;) work(worker, task);
  };
#ifdef _OPENMP
  std::atomic<int> workers{0};
#pragma omp parallel num_threads(threads)
  loop(workers.fetch_add(1));
#else
  std::vector<std::thread> others;
  for (int worker = 1; worker < threads; ++worker) others.emplace_back(loop, worker);
  loop(0);
  for (auto& other : others) other.join();
#endif
}

}  // namespace laxity
