public import MartletWebRTC
internal import Synchronization

extension Room {
  /// Something that is published in a room, from a source of frames of this program.
  public final class Publication: Sendable, Equatable {
    public let source: Source
    /// Of the frames.
    public let codec: String

    private struct State {
      /// By connection: to a participant, or to the server.
      var outlets: [String: MediaTransceiver] = [:]
      var isMuted = false
    }

    private let state = Mutex(State())

    internal init(_ source: Source, codec: String, isMuted: Bool) {
      (self.source, self.codec) = (source, codec)
      state.withLock { $0.isMuted = isMuted }
    }

    /// Sends a frame to whoever is connected; to nobody while the source is muted. Who comes later asks for a key frame
    /// (`keyFrameRequested`).
    public func send(_ frame: MediaTransceiver.Frame) async {
      let outlets = state.withLock { $0.isMuted ? [] : Array($0.outlets.values) }
      // One connection that has just ended is no concern of the others.
      for outlet in outlets { try? await outlet.send(frame) }
    }

    internal func attach(_ transceiver: MediaTransceiver, of connection: String) {
      state.withLock { $0.outlets[connection] = transceiver }
    }

    internal func detach(_ connection: String) { _ = state.withLock { $0.outlets.removeValue(forKey: connection) } }
    internal func sends(on transceiver: MediaTransceiver) -> Bool { state.withLock { $0.outlets.values.contains(transceiver) } }
    internal func mute(_ isMuted: Bool) { state.withLock { $0.isMuted = isMuted } }
    public static func == (a: Publication, b: Publication) -> Bool { a === b }
  }
}

/// The codecs of sections, as preferences for a transceiver.
internal struct RoomCodecs: Sendable {
  /// Those that are taken; all without.
  internal var audio: [String] = []
  internal var video: [String] = []

  private static let known: [MediaTransceiver.Kind: [String]] = [
    .audio: ["opus", "G722", "PCMU", "PCMA"], .video: ["VP8", "VP9", "H264", "AV1", "H265"],
  ]

  /// - Parameter codec: what is sent in the section, which goes before the others.
  /// - Returns: empty for any.
  internal func preferences(_ kind: MediaTransceiver.Kind, sending codec: String? = nil) -> [String] {
    let taken = kind == .audio ? audio : video
    guard let codec else { return taken }
    let others = taken.isEmpty ? Self.known[kind] ?? [] : taken
    return [codec] + others.filter { $0 != codec }
  }
}
