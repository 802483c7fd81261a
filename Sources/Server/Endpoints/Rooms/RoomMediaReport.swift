internal import MartletMedia
internal import MartletPeerEngine
package import MartletRooms
internal import MartletRTP
internal import MartletSDP
internal import MartletWebRTC

/// A participant's connection to the server as it stands, as values.
package struct RoomMediaReport: Sendable {
  /// One stream of what comes of it.
  package struct Sent: Sendable {
    package let source: TrackSource
    package let codec: String
    /// One of several sizes.
    package let layer: String?
    /// Of payload, since it began.
    package let bytes: Int
  }

  /// What goes to it of somebody.
  package struct Watch: Sendable {
    package let participant: ParticipantID
    package let source: TrackSource
    /// Of several sizes, the one that goes.
    package let layer: String?
    /// Of payload, since it began.
    package let bytes: Int
    /// The path does not carry it, or it does not want it.
    package let isPaused: Bool
  }

  package let participant: ParticipantID
  /// As in `/api/v1/webrtc`.
  package let client: String
  package let sends: [Sent]
  package let watches: [Watch]

  internal init(_ peer: RoomPeer) {
    participant = peer.participant
    client = peer.client.id
    let tracks = peer.offer?.tracks ?? [:]
    sends = peer.peer.media.incoming.streams.compactMap { stream in
      guard peer.sections.indices.contains(stream.section), let source = tracks[peer.sections[stream.section].mid] else { return nil }
      return Sent(
        source: source, codec: stream.media.map { "\($0)" } ?? stream.codec.name, layer: stream.rid,
        bytes: Int(clamping: stream.statistics.bytes))
    }
    let wanted = peer.subscriptions
    watches = peer.forwardings.values.flatMap { forwarding in
      forwarding.senders.compactMap { sender in
        guard let subscription = wanted[sender.outgoing], peer.peer.media.outgoing.indices.contains(sender.outgoing) else { return nil }
        return Watch(
          participant: subscription.participant, source: subscription.source, layer: sender.layerName(in: forwarding.ring),
          bytes: Int(clamping: peer.peer.media.outgoing[sender.outgoing].statistics.bytes), isPaused: sender.isPaused)
      }
    }.sorted { ($0.participant.text, $0.source.rawValue) < ($1.participant.text, $1.source.rawValue) }
  }
}

extension StreamForwarding.Sender {
  fileprivate func layerName(in ring: PacketRing) -> String? {
    guard let track, ring.tracks.indices.contains(Int(track)) else { return nil }
    let layers = ring.tracks[Int(track)].layers
    return layers.count > 1 && layers.indices.contains(Int(layer)) ? layers[Int(layer)] : nil
  }
}
