package import MartletSDP

package enum TrackKind: String, Sendable {
  case audio, video

  init?(_ kind: MediaDescription.Kind) {
    switch kind {
    case .audio: self = .audio
    case .video: self = .video
    case .application, .other: return nil
    }
  }

  var section: MediaDescription.Kind { self == .audio ? .audio : .video }
}

/// RTCRtpTransceiver (W3C WebRTC §5.4): what is sent and received in one `m=` section.
package struct Transceiver: Equatable, Sendable {
  /// Names a transceiver for the life of its session; never given twice.
  package struct ID: Hashable, Sendable { package let rawValue: UInt32 }

  package let id: ID
  package let kind: TrackKind
  /// Of its section; `nil` until a description with it is set.
  package internal(set) var mid: String?
  /// What is wanted.
  package internal(set) var direction: MediaDirection
  /// What the last answer gave; `nil` before the first.
  package internal(set) var currentDirection: MediaDirection?
  /// `stop` was called; the next offer or answer tells the peer.
  package internal(set) var isStopping = false
  /// Its section is rejected. It leaves the session with the exchange that did so.
  package internal(set) var isStopped = false
  package internal(set) var sender: TrackSender
  package internal(set) var receiver = TrackReceiver()
  /// The codecs to negotiate, in order; empty stands for those of the configuration.
  package internal(set) var codecPreferences: [RTPCodec] = []

  /// Made for a section that the peer offered.
  let isFromOffer: Bool
  /// `addTrack` made it, or took what the peer had made: it takes up what the peer offers (RFC 8829 §5.10), and a rollback keeps it.
  var isForTrack: Bool
  /// A track that somebody has received is not given to others (W3C WebRTC §5.1, addTrack).
  var hasSent = false
  /// What the application was last told of the peer's media: [[FiredDirection]].
  var firedDirection: MediaDirection?
  /// As of the last stable state, where a rollback leads; `nil` for one that is younger.
  var settled: Settled?

  /// What a description changes, and a rollback restores.
  struct Settled: Equatable, Sendable {
    var mid: String?
    var isStopped: Bool
    var currentDirection: MediaDirection?
    var firedDirection: MediaDirection?
    var encodings: [SendEncoding]
    var receiver: TrackReceiver
  }

  /// It still takes part: it has a section or will get one.
  var isLive: Bool { !isStopping && !isStopped }

  mutating func settle() {
    settled = Settled(
      mid: mid, isStopped: isStopped, currentDirection: currentDirection, firedDirection: firedDirection, encodings: sender.encodings,
      receiver: receiver)
  }

  /// Forgets what was set since the last stable state.
  mutating func rollBack() {
    mid = settled?.mid
    isStopped = settled?.isStopped ?? false
    currentDirection = settled?.currentDirection
    firedDirection = settled?.firedDirection
    receiver = settled?.receiver ?? TrackReceiver()
    if let encodings = settled?.encodings { sender.encodings = encodings }
  }
}

/// RTCRtpSender: the track that is sent, and the sources that carry it.
package struct TrackSender: Equatable, Sendable {
  /// The track that the application attached; `nil` sends nothing, without telling the peer.
  package internal(set) var track: String?
  /// What `msid` calls the track. It stays when the track is replaced.
  package internal(set) var trackID: String
  /// The streams that the track is in at the peer (RFC 8830).
  package internal(set) var streams: [String]
  /// One, or the layers of simulcast.
  package internal(set) var encodings: [SendEncoding]

  var isSimulcast: Bool { encodings.count > 1 }
}

package struct SendEncoding: Equatable, Sendable {
  /// Names a layer of simulcast (RFC 8851); `nil` for an only encoding.
  package internal(set) var rid: String?
  package let ssrc: UInt32
  /// Of its retransmissions, where those are negotiated.
  package let rtx: UInt32
  /// Of its FEC, likewise.
  package let fec: UInt32
}

/// RTCRtpReceiver: what the peer says it sends.
package struct TrackReceiver: Equatable, Sendable {
  /// The id that the peer gave its track.
  package internal(set) var track: String?
  package internal(set) var streams: [String] = []
}
