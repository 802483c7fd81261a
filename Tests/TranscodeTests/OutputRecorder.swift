#if Transcoding
  import MartletCodecs
  import MartletTranscode
  import Synchronization

  /// Keeps what a transcoder delivers.
  final class OutputRecorder: Sendable {
    private struct State {
      var outputs: [TranscoderOutput] = []
      var waiters: [(isMet: @Sendable ([TranscoderOutput]) -> Bool, continuation: CheckedContinuation<Void, Never>)] = []
    }
    private let state = Mutex(State())

    func record(_ output: TranscoderOutput) {
      let ready = state.withLock { state in
        state.outputs.append(output)
        let ready = state.waiters.filter { $0.isMet(state.outputs) }.map(\.continuation)
        let outputs = state.outputs
        state.waiters.removeAll { $0.isMet(outputs) }
        return ready
      }
      for continuation in ready { continuation.resume() }
    }

    /// Waits for the first moment in which `isMet` holds for all that was delivered.
    func wait(until isMet: @escaping @Sendable ([TranscoderOutput]) -> Bool) async {
      await withCheckedContinuation { continuation in
        let isReady = state.withLock { state in
          if isMet(state.outputs) { return true }
          state.waiters.append((isMet, continuation))
          return false
        }
        if isReady { continuation.resume() }
      }
    }

    /// Everything, once the transcoder has come to its end.
    func all() async -> [TranscoderOutput] {
      await wait { outputs in outputs.contains { if case .ended = $0 { true } else { false } } }
      return state.withLock { $0.outputs }
    }
  }

  extension AudioTranscoder {
    /// All of `frames` through a transcoder whose queue has room for them.
    static func transcode(
      _ frames: [Frame], _ format: TrackFormat, to codec: Codec, _ configuration: Configuration = Configuration()
    ) async throws -> [TranscoderOutput] {
      let recorder = OutputRecorder()
      var configuration = configuration
      configuration.limits.queuedFrames = max(configuration.limits.queuedFrames, frames.count)
      let transcoder = try AudioTranscoder(from: format, to: codec, configuration) { recorder.record($0) }
      for frame in frames { transcoder.send(frame) }
      transcoder.finish()
      return await recorder.all()
    }
  }

  extension VideoTranscoder {
    /// All of `frames` through a transcoder whose queue has room for them.
    static func transcode(
      _ frames: [Frame], _ format: TrackFormat, _ configuration: Configuration = Configuration()
    ) async throws -> [TranscoderOutput] {
      let recorder = OutputRecorder()
      var configuration = configuration
      configuration.limits.queuedFrames = max(configuration.limits.queuedFrames, frames.count)
      let transcoder = try VideoTranscoder(from: format, configuration) { recorder.record($0) }
      for frame in frames { transcoder.send(frame) }
      transcoder.finish()
      return await recorder.all()
    }
  }

  extension [TranscoderOutput] {
    var frames: [Frame] { flatMap { output -> [Frame] in if case .frames(let frames) = output { frames } else { [] } } }
    var formats: [TrackFormat] { compactMap { output -> TrackFormat? in if case .format(let format) = output { format } else { nil } } }
    var warnings: [String] { compactMap { output -> String? in if case .warning(let text) = output { text } else { nil } } }
    var failures: [String] { compactMap { output -> String? in if case .failed(let text) = output { text } else { nil } } }
    var keyFramesNeeded: Int { count { if case .keyFrameNeeded = $0 { true } else { false } } }
  }
#endif
