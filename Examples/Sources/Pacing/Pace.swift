import MartletClient

/// Lets packets go when their time has come: what a file holds leaves as fast as it was recorded, not as fast as it is read.
public struct Pace {
  private let clock = ContinuousClock()
  private var beginning: ContinuousClock.Instant?
  /// What is added to the times of this pass over the file, so that they go on where the last one ended.
  private var offset = Duration.zero
  private var end = Duration.zero
  private var needsOffset = true

  public init() {}

  /// Waits until `packet` is due, and answers it with its time in the whole.
  public mutating func wait(for packet: MediaPacket) async throws -> MediaPacket {
    guard case .frame(var frame) = packet else { return packet }
    if needsOffset { offset = end - frame.decodeTime }
    needsOffset = false
    frame.decodeTime += offset
    frame.presentationTime += offset
    end = max(end, frame.decodeTime)
    let start = beginning ?? clock.now
    beginning = start
    try await clock.sleep(until: start + frame.decodeTime, tolerance: .milliseconds(1))
    return .frame(frame)
  }

  /// The file begins again, a frame after its last.
  public mutating func startAgain() {
    end += .milliseconds(40)
    needsOffset = true
  }
}
