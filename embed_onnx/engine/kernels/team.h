// Threads that help a caller who is alone, so that one sequence has all cores.
//
// Each lane calls from a thread of its own; with several calling, every core has work and no caller is helped. Helpers look
// for work for a moment after they had some, as a layer follows within microseconds, and then sleep.
//
// A helper keeps off its caller's core. The system may wake it there although another core idles, and leave both there for
// seconds: the helper then runs when its caller is done, and a short text takes as long as without help, or longer.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "buffer.h"

namespace embed_onnx {

class Team {
 public:
  // The one team of this process; without helpers until `resize`. That of a forked child has as many as its parent's.
  static Team& instance();

  ~Team();

  // `threads` in all, callers included. Throws std::exception if they cannot be started; there are no helpers then.
  void resize(int threads);

  // While it lives, its thread is counted as a caller.
  class Call {
   public:
    explicit Call(Team& team);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    // How many may work on this call: the numbers of workers that `run` gives are below it.
    int workers() const { return workers_; }
    // So many bytes for each of several workers, one after the other. They are the team's, which has one such call at a
    // time, and kept up to a limit: new memory for every layer takes longer than a short text's layer.
    char* memory(size_t a_worker);
    // Does work(task, worker) for each task below `tasks`, in any order, on this thread and the helpers.
    void run(int tasks, const std::function<void(int task, int worker)>& work);

   private:
    Team& team_;
    int workers_ = 1;
  };

 private:
  struct Work {
    const std::function<void(int, int)>* function;
    int tasks;
    std::atomic<int> next{0};
  };

  explicit Team(int threads);
  static void begin_again();
  static void do_tasks(Work& work, int worker);
  bool start();
  bool enlist();
  void help(int worker);
  void leave_caller() const;
  void wait_for_change(uint64_t seen);
  void stop();

  static std::atomic<Team*> current_;

  std::atomic<int> threads_;  // helpers, once they are started, and one
  std::vector<std::thread> helpers_;  // used by the caller that has set enlisted_
  Buffer<char> memory_;  // of the call that has enlisted them
  std::mutex resizing_;

  std::atomic<int> callers_{0};
  std::atomic<bool> enlisted_{false};
  std::atomic<int> caller_core_{-1};  // where the last caller that enlisted them was
  std::atomic<uint64_t> last_met_{0};  // when a caller last met another as it came or went, in microseconds

  std::atomic<Work*> work_{nullptr};
  std::atomic<uint64_t> changes_{0};
  std::atomic<int> inside_{0};  // helpers that may be using work_
  std::atomic<int> asleep_{0};
  std::atomic<bool> stopping_{false};
  std::mutex sleeping_;
  std::condition_variable woken_;
};

}  // namespace embed_onnx
