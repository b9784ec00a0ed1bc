// What an operator of ONNX Runtime is built from and runs on, and the table of functions that it is to ONNX Runtime.
//
// No exception leaves a function that ONNX Runtime calls: `guarded` turns it into a status with its sentence.
#pragma once

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "model.h"
#include "onnxruntime_abi.h"
#include "sequences.h"

namespace embed_onnx {
namespace {

ort::Table api = nullptr;

template <class R, class... Args>
R call(ort::Slot slot, Args... args) {
  return reinterpret_cast<R (*)(Args...)>(const_cast<void*>(api[slot]))(args...);
}

// A status that ONNX Runtime gave; it is handed on as it is.
struct Failed {
  ort::Status* status;
};

template <class... Args>
void check(ort::Slot slot, Args... args) {
  if (ort::Status* status = call<ort::Status*>(slot, args...)) throw Failed{status};
}

ort::Status* status(ort::ErrorCode code, const char* sentence) {
  return call<ort::Status*, int, const char*>(ort::kCreateStatus, code, sentence);
}

template <class F>
ort::Status* guarded(F f) noexcept {
  try {
    f();
    return nullptr;
  } catch (const Failed& failed) {
    return failed.status;
  } catch (const std::invalid_argument& error) {
    return status(ort::kInvalidArgument, error.what());
  } catch (const std::bad_alloc&) {
    return status(ort::kFail, "there is not enough memory");
  } catch (const std::exception& error) {
    return status(ort::kFail, error.what());
  }
}

std::vector<int64_t> shape_of(const ort::Value* value) {
  ort::ShapeInfo* info = nullptr;
  check(ort::kGetTensorTypeAndShape, value, &info);
  const std::unique_ptr<ort::ShapeInfo, void (*)(ort::ShapeInfo*)> owner(
      info, [](ort::ShapeInfo* held) { call<void>(ort::kReleaseShapeInfo, held); });
  size_t axes = 0;
  check(ort::kGetDimensionsCount, static_cast<const ort::ShapeInfo*>(info), &axes);
  std::vector<int64_t> shape(axes);
  check(ort::kGetDimensions, static_cast<const ort::ShapeInfo*>(info), shape.data(), axes);
  return shape;
}

void* data_of(const ort::Value* value) {
  void* data = nullptr;
  check(ort::kGetTensorMutableData, const_cast<ort::Value*>(value), &data);
  return data;
}

// What a kernel is built from.
class Info {
 public:
  explicit Info(const ort::KernelInfo* info) : info_(info) {}

  // An optional input may be missing at the end, or have no name between others.
  bool has(size_t input) const {
    size_t count = 0, size = 0;
    check(ort::kKernelInfoGetInputCount, info_, &count);
    if (input >= count) return false;
    check(ort::kKernelInfoGetInputName, info_, input, static_cast<char*>(nullptr), &size);
    return size > 1;  // it ends with a zero
  }
  int64_t integer(const char* name) const {
    int64_t value = 0;
    check(ort::kKernelInfoGetAttributeInt64, info_, name, &value);
    return value;
  }
  float number(const char* name) const {
    float value = 0;
    check(ort::kKernelInfoGetAttributeFloat, info_, name, &value);
    return value;
  }
  std::string text(const char* name) const {
    size_t size = 0;
    check(ort::kKernelInfoGetAttributeString, info_, name, static_cast<char*>(nullptr), &size);
    std::string value(size, '\0');
    check(ort::kKernelInfoGetAttributeString, info_, name, value.data(), &size);
    value.resize(size - 1);  // it ends with a zero
    return value;
  }
  Tensor weights(size_t input, const char* name) const {
    int constant = 0;
    const ort::Value* value = nullptr;
    check(ort::kKernelInfoGetConstantInput, info_, input, &constant, &value);
    if (!constant || !value) throw std::invalid_argument(std::string(name) + " must be an initializer");
    return {name, data_of(value), shape_of(value)};
  }
  // A tensor without a name where the input is missing.
  Tensor optional_weights(size_t input, const char* name) const { return has(input) ? weights(input, name) : Tensor{}; }

 private:
  const ort::KernelInfo* info_;
};

// What a kernel runs on.
class Context {
 public:
  explicit Context(ort::KernelContext* context) : context_(context) {}

  Tensor input(size_t number, const char* name) const {
    const ort::Value* value = nullptr;
    check(ort::kKernelContextGetInput, static_cast<const ort::KernelContext*>(context_), number, &value);
    return {name, data_of(value), shape_of(value)};
  }
  // [batch, tokens]
  Tensor mask(size_t number) const {
    Tensor mask = input(number, "attention_mask");
    if (mask.shape.size() != 2) throw std::invalid_argument("attention_mask must have two axes, batch and tokens");
    if (mask.shape[0] * mask.shape[1] > INT32_MAX / 2) throw std::invalid_argument("attention_mask is too large");
    return mask;
  }
  // [batch, tokens, width]
  float* output(const Tensor& mask, int64_t width) const { return output({mask.shape[0], mask.shape[1], width}); }
  float* output(const std::vector<int64_t>& shape) const {
    ort::Value* value = nullptr;
    check(ort::kKernelContextGetOutput, context_, size_t{0}, shape.data(), shape.size(), &value);
    return static_cast<float*>(data_of(value));
  }

 private:
  ort::KernelContext* context_;
};

Sequences sequences_of(const Tensor& mask) {
  return Sequences(mask.integers(), mask.shape[0], mask.shape[1]);
}

void check_states(const char* name, const Tensor& states, const Tensor& mask, int64_t width) {
  if (states.shape != std::vector<int64_t>{mask.shape[0], mask.shape[1], width})
    throw std::invalid_argument(std::string(name) + ": the states' shape does not fit the mask and the weights");
}

// The table of functions that makes an operator of a class with `name`, `inputs`, `optional`, `type` and `run`.
template <class Kernel>
ort::CustomOp custom_op() {
  using ort::CustomOp;
  CustomOp op{};
  op.version = ort::kApiVersion;
  op.GetName = [](const CustomOp*) { return Kernel::name; };
  op.GetExecutionProviderType = [](const CustomOp*) -> const char* { return nullptr; };
  op.GetInputType = [](const CustomOp*, size_t input) { return Kernel::type(input); };
  op.GetInputTypeCount = [](const CustomOp*) { return Kernel::inputs; };
  op.GetOutputType = [](const CustomOp*, size_t) -> int { return ort::kFloat; };
  op.GetOutputTypeCount = [](const CustomOp*) { return size_t{1}; };
  op.GetInputCharacteristic = [](const CustomOp*, size_t input) -> int {
    return input < Kernel::optional ? ort::kRequired : ort::kOptional;
  };
  op.GetOutputCharacteristic = [](const CustomOp*, size_t) -> int { return ort::kRequired; };
  op.GetInputMemoryType = [](const CustomOp*, size_t) { return 0; };
  op.GetVariadicInputMinArity = [](const CustomOp*) { return 1; };
  op.GetVariadicInputHomogeneity = [](const CustomOp*) { return 1; };
  op.GetVariadicOutputMinArity = [](const CustomOp*) { return 1; };
  op.GetVariadicOutputHomogeneity = [](const CustomOp*) { return 1; };
  op.CreateKernelV2 = [](const CustomOp*, ort::Table, const ort::KernelInfo* info, void** kernel) {
    return guarded([&] { *kernel = new Kernel(Info(info)); });
  };
  op.KernelComputeV2 = [](void* kernel, ort::KernelContext* context) {
    return guarded([&] { static_cast<const Kernel*>(kernel)->run(Context(context)); });
  };
  op.KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  return op;
}

}  // namespace
}  // namespace embed_onnx
