internal import MartletCodecs
internal import MartletMedia
internal import MartletPrimitives

/// Records one stream: a file for each publish, each set of tracks and each span of `rotate`, from key frame to key frame.
internal final class StreamRecorder: FrameConsumer {
  private struct Open {
    let file: RecordingFile
    var recording: FLVRecording
    let began: Int64
    var flushed: Int64
    var isSkipping = false
    var hasSkipped = false
  }

  private let path: StreamPath
  private let configuration: RecordConfiguration
  private let store: RecordingStore
  private let wallTime: () -> WallTime
  /// The stream is no more.
  internal var didEnd: (() -> Void)?
  private var formats: [TrackFormat] = []
  private var open: Open?
  /// The disk refused this publish.
  private var hasGivenUp = false

  internal init(
    _ path: StreamPath, _ configuration: RecordConfiguration, _ store: RecordingStore, wallTime: @escaping () -> WallTime
  ) {
    self.path = path
    self.configuration = configuration
    self.store = store
    self.wallTime = wallTime
  }

  internal func configure(_ formats: [TrackFormat]) {
    close()
    self.formats = formats
  }

  internal func receive(_ frame: Frame) {
    guard !hasGivenUp, Int(frame.track) < formats.count else { return }
    let format = formats[Int(frame.track)]
    let time = MediaTime.rescale(frame.dts, from: format.timescale, to: 1000)
    let hasVideo = formats.contains { $0.kind == .video }
    let isStart = frame.isKey && (format.kind == .video || !hasVideo && format.kind == .audio)
    if isStart, let open, configuration.rotate > .zero, time - open.began >= configuration.rotate.milliseconds { close() }
    if open == nil {
      guard isStart else { return }
      begin(at: time)
    }
    guard var current = exchange(&open, with: nil) else { return }
    defer { open = current }
    if current.file.hasFailed {
      hasGivenUp = true
      return
    }
    guard keepsUp(&current, isStart: isStart) else { return }
    current.recording.append(frame)
    if current.recording.pending.count >= 128 * 1024 || time - current.flushed >= 500 || time < current.flushed {
      current.file.append(current.recording.take())
      current.flushed = time
    }
  }

  private func begin(at time: Int64) {
    let name = RecordingName(path, start: wallTime())
    let file = RecordingFile(name.path, store)
    var recording = FLVRecording(formats)
    file.append(recording.take())
    open = Open(file: file, recording: recording, began: time, flushed: time)
    store.log(.info, "record", "\(path) is recorded as \(name.fileName)")
  }

  /// False while the disk is behind: frames are left out up to a key frame that finds room again.
  private func keepsUp(_ current: inout Open, isStart: Bool) -> Bool {
    let waiting = current.file.waitingBytes + current.recording.pending.count
    if current.isSkipping {
      guard isStart, waiting < configuration.queueBytes / 2 else { return false }
      current.isSkipping = false
    } else if waiting > configuration.queueBytes {
      current.isSkipping = true
      if !current.hasSkipped { store.log(.warning, "record", "\(path): the disk does not keep up; the recording has gaps") }
      current.hasSkipped = true
    }
    return !current.isSkipping
  }

  private func close() {
    guard var current = exchange(&open, with: nil) else { return }
    current.file.append(current.recording.take())
    current.file.finish(head: current.recording.head(isFinal: true))
  }

  internal func pause() {
    close()
    hasGivenUp = false
  }

  // MARK: FrameConsumer

  internal var rendition: Rendition { .broadcast }
  internal func streamDidConfigure(_ stream: Stream, _ content: StreamContent) { configure(content.formats) }
  internal func stream(_ stream: Stream, didReceive frame: Frame) { receive(frame) }
  internal func streamDidPause(_ stream: Stream) { pause() }
  internal func streamDidEnd(_ stream: Stream) {
    close()
    didEnd?()
  }
}
