#include "team.h"

#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>

namespace embed_onnx {
namespace {

// Longer than what lies between two layers of one caller, much shorter than what a person notices.
constexpr std::chrono::microseconds kSpin(50);
// Callers that met this long ago have lanes of their own, and will be back.
constexpr uint64_t kRecently = 1000;  // microseconds
// Memory that is kept for each worker.
constexpr size_t kKept = 1 << 20;

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

uint64_t microseconds() {
  using namespace std::chrono;
  return duration_cast<std::chrono::microseconds>(steady_clock::now().time_since_epoch()).count();
}

// The core that this thread runs on; -1 where the system does not say.
int core() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// Keeps this thread to the cores of the process without one of them, if there are others.
void keep_off([[maybe_unused]] int core) {
#if defined(__linux__)
  cpu_set_t cores;
  if (sched_getaffinity(getpid(), sizeof cores, &cores)) return;
  CPU_CLR(core, &cores);
  if (CPU_COUNT(&cores)) sched_setaffinity(0, sizeof cores, &cores);
#endif
}

// Spins until `done`, at most for kSpin.
template <class F>
bool spin_until(F done) {
  const auto end = std::chrono::steady_clock::now() + kSpin;
  do {
    for (int i = 0; i < 64; i++) {
      if (done()) return true;
      pause();
    }
  } while (std::chrono::steady_clock::now() < end);
  return done();
}

}  // namespace

std::atomic<Team*> Team::current_{nullptr};

Team& Team::instance() {
  // Ended by the process that created it: a forked child has none of its threads.
  struct First {
    Team* const team = new Team(1);
    const pid_t process = getpid();
    First() {
      current_ = team;
      pthread_atfork(nullptr, nullptr, begin_again);
    }
    ~First() {
      if (process == getpid()) delete team;
    }
  };
  static const First first;
  return *current_;
}

// What the helpers and other callers held at the fork is as they left it, and stays so.
void Team::begin_again() { current_ = new Team((*current_).threads_); }

Team::Team(int threads) : threads_(threads) {}

Team::~Team() { stop(); }

void Team::resize(int threads) {
  std::lock_guard<std::mutex> lock(resizing_);
  if (threads_ == threads) return;
  while (enlisted_.exchange(true)) std::this_thread::yield();  // no caller may be using the helpers
  stop();
  threads_ = threads;
  const bool started = start();
  enlisted_ = false;
  if (!started) throw std::runtime_error("the system starts no thread");
}

bool Team::start() {
  stopping_ = false;
  try {
    while (static_cast<int>(helpers_.size()) < threads_ - 1)
      helpers_.emplace_back(&Team::help, this, static_cast<int>(helpers_.size()) + 1);
    return true;
  } catch (const std::exception&) {
    stop();
    threads_ = 1;
    return false;
  }
}

void Team::stop() {
  {
    std::lock_guard<std::mutex> lock(sleeping_);
    stopping_ = true;
    changes_++;
  }
  woken_.notify_all();
  for (std::thread& helper : helpers_) helper.join();
  helpers_.clear();
}

Team::Call::Call(Team& team) : team_(team) {
  if (team_.callers_++) {
    team_.last_met_ = microseconds();
  } else if (team_.enlist()) {
    workers_ = 1 + static_cast<int>(team_.helpers_.size());
    team_.caller_core_ = core();
  }
}

Team::Call::~Call() {
  if (workers_ > 1) {
    if (team_.memory_.size() > kKept * workers_) team_.memory_ = Buffer<char>();
    team_.enlisted_ = false;
  }
  if (--team_.callers_) team_.last_met_ = microseconds();
}

char* Team::Call::memory(size_t a_worker) {
  const size_t bytes = a_worker * workers_;
  if (team_.memory_.size() < bytes) team_.memory_ = Buffer<char>(bytes);
  return team_.memory_.data();
}

bool Team::enlist() {
  const bool alone = microseconds() - last_met_ > kRecently;
  if (!alone || threads_ == 1 || enlisted_.exchange(true)) return false;
  if (static_cast<int>(helpers_.size()) == threads_ - 1 || start()) return true;  // a forked child starts them now
  enlisted_ = false;
  return false;
}

void Team::do_tasks(Work& work, int worker) {
  for (int task; (task = work.next++) < work.tasks;) (*work.function)(task, worker);
}

void Team::Call::run(int tasks, const std::function<void(int, int)>& function) {
  Work work{&function, tasks};
  if (workers_ == 1 || tasks == 1) return do_tasks(work, 0);
  team_.work_ = &work;
  team_.changes_++;
  if (team_.asleep_) {
    std::lock_guard<std::mutex> lock(team_.sleeping_);
    team_.woken_.notify_all();
  }
  do_tasks(work, 0);
  team_.work_ = nullptr;
  // A helper that is inside has a task. One that comes later finds no work, and is not waited for.
  while (team_.inside_ && !spin_until([&] { return !team_.inside_; })) std::this_thread::yield();
}

void Team::help(int worker) {
  uint64_t seen = changes_;
  while (!stopping_) {
    inside_++;
    if (Work* work = work_) do_tasks(*work, worker);
    inside_--;
    wait_for_change(seen);
    seen = changes_;
    leave_caller();
  }
}

void Team::leave_caller() const {
  const int own = core();
  if (own >= 0 && own == caller_core_) keep_off(own);
}

void Team::wait_for_change(uint64_t seen) {
  if (spin_until([&] { return changes_ != seen; })) return;
  std::unique_lock<std::mutex> lock(sleeping_);
  asleep_++;
  woken_.wait(lock, [&] { return changes_ != seen; });
  asleep_--;
}

}  // namespace embed_onnx
