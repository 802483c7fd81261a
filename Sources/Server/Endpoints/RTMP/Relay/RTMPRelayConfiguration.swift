package import MartletClient
package import MartletCrypto
package import MartletPrimitives

/// What goes to other RTMP servers and what comes from them.
package struct RTMPRelayConfiguration: Sendable {
  /// `forward: [{from: live/*, to: rtmp://HOST/{app}/{name}}]`
  package struct Forward: Sendable, Equatable {
    package var from: PathPattern
    package var to: RTMPTarget

    package init(from: PathPattern, to: RTMPTarget) {
      self.from = from
      self.to = to
    }
  }

  /// `pull: [{path: live/*, from: rtmp://ORIGIN/{app}/{name}}]`
  package struct Pull: Sendable, Equatable {
    package var path: PathPattern
    package var from: RTMPTarget

    package init(path: PathPattern, from: RTMPTarget) {
      self.path = path
      self.from = from
    }
  }

  /// Every rule that matches a stream is followed.
  package var forward: [Forward] = []
  /// The first rule that matches is.
  package var pull: [Pull] = []
  /// Name, TCP and TLS.
  package var connectTimeout = TimeSpan.seconds(10)
  /// A pulled stream that sends nothing for this long is asked for again.
  package var silence = TimeSpan.seconds(15)
  /// A pulled stream that nobody watches is given up after this.
  package var idle = TimeSpan.seconds(5)
  package var backoff = Backoff(initial: .milliseconds(500), maximum: .seconds(30))
  /// Streams that one worker pulls at once: names that viewers make up cost a connection each.
  package var maximumPulls = 256
  /// For `rtmps`.
  package var trust = TLSContext.Trust.system

  package init() {}
}
