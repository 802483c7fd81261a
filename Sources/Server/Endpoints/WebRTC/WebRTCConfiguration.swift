/// What an operator may set for WebRTC; each field is a key of the `webrtc` section.
package struct WebRTCConfiguration: Equatable, Sendable {
  /// Addresses to announce to peers: IP addresses or host names. Empty announces those of this machine.
  package var addresses: [String] = []
  /// Sessions of a worker.
  package var sessions = 10_000
  /// What a publisher may send, in bits a second, where its congestion control asks.
  package var bitrate = 20_000_000
  /// `stun:` and `turn:` URLs that clients are told of in `Link` fields.
  package var iceServers: [String] = []
  package init() {}
}
