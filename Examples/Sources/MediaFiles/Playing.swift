import MartletClient
import MartletWebRTC

/// Where frames go: a connection, or everybody in a room.
public protocol FrameSink: Sendable {
  func send(_ frame: MediaTransceiver.Frame) async throws
}

extension MediaTransceiver: FrameSink {}

extension Room.Publication: FrameSink {}

/// Sends the pictures of a file when their time has come; a file that loops goes on a picture's time after its last.
public func play(_ file: IVFFile, on sink: some FrameSink, loops: Bool = false) async throws {
  let step = file.pictures.count > 1 ? file.pictures[1].time - file.pictures[0].time : 0.04
  let length = (file.pictures.last?.time ?? 0) + step
  let (clock, start) = (ContinuousClock(), ContinuousClock.now)
  var pass = 0.0
  repeat {
    for picture in file.pictures {
      let time = pass * length + picture.time
      try await clock.sleep(until: start + .seconds(time), tolerance: .milliseconds(1))
      let timestamp = UInt32(truncatingIfNeeded: Int(time * 90_000))
      try await sink.send(.init(timestamp: timestamp, isKeyFrame: picture.isKeyFrame, data: picture.data))
    }
    pass += 1
  } while loops
}

public func play(_ file: G722File, on sink: some FrameSink, loops: Bool = false) async throws {
  let (clock, start) = (ContinuousClock(), ContinuousClock.now)
  var count = 0
  repeat {
    for packet in file.packets {
      try await clock.sleep(until: start + .milliseconds(20 * count), tolerance: .milliseconds(1))
      // Its clock has 8,000 ticks a second, though it is sampled at 16 kHz (RFC 3551 §4.5.2).
      try await sink.send(.init(timestamp: UInt32(truncatingIfNeeded: 160 * count), isKeyFrame: true, data: packet))
      count += 1
    }
  } while loops
}

public func play(_ file: OggOpusFile, on sink: some FrameSink, loops: Bool = false) async throws {
  let (clock, start) = (ContinuousClock(), ContinuousClock.now)
  var position = 0
  repeat {
    for packet in file.packets {
      try await clock.sleep(until: start + .seconds(Double(position) / 48_000), tolerance: .milliseconds(1))
      try await sink.send(.init(timestamp: UInt32(truncatingIfNeeded: position), isKeyFrame: true, data: packet.data))
      position += packet.duration
    }
  } while loops
}
