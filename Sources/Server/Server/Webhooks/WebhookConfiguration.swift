package import MartletPrimitives

/// Who is told when sessions begin and end.
package struct WebhookConfiguration: Equatable, Sendable {
  package enum Event: String, Sendable, CaseIterable {
    case publish, unpublish, play, stop, allocate, release, join, leave
    case roomBegin = "room_begin"
    case roomEnd = "room_end"
  }

  package struct Target: Equatable, Sendable {
    package var url: String
    package var events: [Event]
    /// Signs each message: HMAC-SHA256 over its time and body.
    package var secret: Secret?

    package init(url: String, events: [Event] = Event.allCases, secret: Secret? = nil) {
      self.url = url
      self.events = events
      self.secret = secret
    }
  }

  package var targets: [Target] = []
  /// Messages that wait for one target; beyond, the oldest is dropped and counted.
  package var queue = 1000
  /// Attempts for one message, the first included.
  package var attempts = 6
  /// For one attempt.
  package var timeout = TimeSpan.seconds(5)

  package init() {}
}
