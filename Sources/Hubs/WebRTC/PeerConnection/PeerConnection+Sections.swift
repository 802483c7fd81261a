internal import MartletPeerEngine
internal import MartletSDP

extension PeerConnection {
  /// A transceiver as it stands (W3C WebRTC §5.4).
  package struct Section: Sendable {
    package let transceiver: MediaTransceiver
    /// `nil` until a description has it.
    package let mid: String?
    /// What is wanted.
    package let direction: MediaTransceiver.Direction
    /// What the last answer gave; `nil` before the first.
    package let currentDirection: MediaTransceiver.Direction?

    /// Whether the peer sends in it.
    package var receives: Bool { currentDirection == .sendrecv || currentDirection == .recvonly }
    package var sends: Bool { currentDirection == .sendrecv || currentDirection == .sendonly }
  }

  /// RTCPeerConnection.getTransceivers, each as it is at one moment.
  package var sections: [Section] { get async { (try? await Self.run(id) { $0.sectionsNow }) ?? [] } }
}

extension PeerConnectionCore {
  fileprivate var sectionsNow: [PeerConnection.Section] {
    negotiation.transceivers.compactMap { known in
      guard let transceiver = transceiver(known.id.rawValue) else { return nil }
      let direction = MediaTransceiver.Direction(rawValue: known.direction.rawValue) ?? .inactive
      let current = known.currentDirection.flatMap { MediaTransceiver.Direction(rawValue: $0.rawValue) }
      return PeerConnection.Section(transceiver: transceiver, mid: known.mid, direction: direction, currentDirection: current)
    }
  }
}
