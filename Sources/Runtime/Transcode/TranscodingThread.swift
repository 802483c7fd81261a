#if Transcoding
  internal import MartletCodecs
  internal import MartletIO
  internal import Synchronization

  /// What runs on a transcoding thread: codecs and what lies between them. Trouble with the source is output, never an error.
  internal protocol TranscodingPipeline: AnyObject {
    var output: TranscoderBatch { get set }
    /// Frames of the source that could not be decoded.
    var damaged: Int { get }
    func setFormat(_ format: TrackFormat)
    func transcode(_ frame: Frame)
    /// Frames of the source are missing up to the next key frame.
    func sourceHasGap()
    /// Puts out what the codecs hold back.
    func finish()
  }

  /// A pipeline on a thread of its own behind a bounded queue. The thread starts with the first frame.
  internal final class TranscodingThread: Sendable {
    private struct State {
      var queue: TranscoderQueue
      var isScheduled = false
      var isStopped = false
      var statistics = TranscoderStatistics()
    }

    private let state: Mutex<State>
    /// Used by the thread alone; the lock is never waited for.
    private let pipeline = Mutex<(any TranscodingPipeline)?>(nil)
    private let pool: ThreadPool
    private let make: @Sendable () -> sending any TranscodingPipeline
    private let deliver: @Sendable (TranscoderOutput) -> Void

    /// Waits for the ends of threads, so that no loop has to.
    private static let reaper = ThreadPool(name: "transcode-end")

    /// - Parameter make: runs on the thread.
    internal init(
      _ kind: MediaKind, _ limits: TranscoderLimits, deliver: @escaping @Sendable (TranscoderOutput) -> Void,
      make: @escaping @Sendable () -> sending any TranscodingPipeline
    ) {
      state = Mutex(State(queue: TranscoderQueue(kind, limits)))
      pool = ThreadPool(name: "transcode-\(kind)")
      self.deliver = deliver
      self.make = make
    }

    internal var statistics: TranscoderStatistics { state.withLock { $0.statistics } }

    internal func send(_ frame: Frame) {
      enqueue { state in
        state.statistics.framesIn += 1
        state.statistics.dropped += state.queue.append(frame)
      }
    }

    /// Takes effect with the next frame.
    internal func setFormat(_ format: TrackFormat) {
      state.withLock { state in
        if !state.isStopped { state.queue.append(format) }
      }
    }

    internal func finish() { enqueue { $0.queue.finish() } }

    /// Changes the queue and sees to it that the thread looks at it.
    private func enqueue(_ change: (inout State) -> Void) {
      let isFirst = state.withLock { state in
        guard !state.isStopped else { return false }
        change(&state)
        return !exchange(&state.isScheduled, with: true)
      }
      if isFirst { _ = pool.submit { [self] in run() } }
    }

    /// Forgets what waits. A delivery that has begun still ends.
    internal func stop() {
      let isFirst = state.withLock { state in
        state.queue.removeAll()
        return !exchange(&state.isStopped, with: true)
      }
      guard isFirst else { return }
      _ = Self.reaper.submit(beyondLimit: true) { [self] in
        pool.close()
        pipeline.withLock { $0 = nil }
      }
    }

    private func run() {
      pipeline.withLock { pipeline in
        if pipeline == nil { pipeline = make() }
        while let pipeline, let work = next() {
          switch work {
          case .format(let format): pipeline.setFormat(format)
          case .frame(let frame): pipeline.transcode(frame)
          case .gap: pipeline.sourceHasGap()
          case .finish:
            pipeline.finish()
            pipeline.output.append(.ended)
          }
          hand(over: pipeline)
        }
      }
    }

    private func next() -> TranscoderQueue.Work? {
      state.withLock { state in
        let work = state.queue.popFirst()
        if work == nil { state.isScheduled = false }
        return work
      }
    }

    /// Delivers when the batch is full or nothing waits that could fill it.
    private func hand(over pipeline: any TranscodingPipeline) {
      let isStopped = state.withLock { state in
        state.statistics.damaged = pipeline.damaged
        return state.isStopped
      }
      guard !isStopped, pipeline.output.isFull || isIdle else { return }
      for output in pipeline.output.takeAll() {
        if case .frames(let frames) = output { state.withLock { $0.statistics.framesOut += frames.count } }
        deliver(output)
      }
    }

    private var isIdle: Bool { state.withLock { $0.queue.isEmpty } }
  }
#endif
