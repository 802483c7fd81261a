package import MartletRTP
package import MartletSDP

/// What this side of a session can do, and how it prefers to.
package struct NegotiationConfiguration: Sendable {
  /// In the order of preference. RTX and RED name by their parameters the payload types of this list, which are also those of offers
  /// as long as the peer has given them no other meaning.
  package var audioCodecs = CodecSet.audio
  package var videoCodecs = CodecSet.video
  /// Header extensions, with the directions in which they are of use here.
  package var audioExtensions = CodecSet.audioExtensions
  package var videoExtensions = CodecSet.videoExtensions
  /// Whose order of codecs our answers follow. Preferences of a transceiver go before it.
  package var codecOrder = CodecOrder.offerer
  /// Which end of DTLS we are where the offerer leaves it to us. RFC 8842 §5.3 recommends `active`, which saves a round trip;
  /// `passive` is for a server that its peers reach but that cannot reach them.
  package var answeredSetup = SetupRole.active
  /// Whether simulcast that is offered is taken.
  package var receivesSimulcast = true
  package var sctpPort: UInt16 = 5000
  /// The largest message that is taken, in bytes (RFC 8841 §6).
  package var maxMessageSize: UInt64 = 262_144
  /// Begins the user name fragments of restarts, as `ICEConfiguration.fragmentPrefix` does the first.
  package var fragmentPrefix = ""
  /// Names our sources in RTCP; `nil` draws one for the session (RFC 7022 §4.2).
  package var cname: String?
  package var limits = NegotiationLimits()

  package init() {}

  func codecs(_ kind: TrackKind) -> [RTPCodec] { kind == .audio ? audioCodecs : videoCodecs }

  func extensions(_ kind: TrackKind) -> [HeaderExtensionKind: MediaDirection] { kind == .audio ? audioExtensions : videoExtensions }
}

/// What a peer, or the application, may make a session grow to.
package struct NegotiationLimits: Sendable {
  /// `m=` sections of a description; a conference of a hundred is as large as browsers take.
  package var sections = 128
  /// Layers of simulcast in a section.
  package var rids = 8
  /// Streams that a track is in.
  package var streams = 16
  /// Candidates kept for one description of the peer.
  package var remoteCandidates = 64
  /// Bytes of a track's, a stream's or a layer's id.
  package var idBytes = 256

  package init() {}
}
