package import MartletPrimitives

/// What somebody publishes, before the channel gives it a place.
package struct Draft: Sendable {
  package enum Kind: String, Sendable { case text, binary }

  package var kind: Kind
  /// Text is valid UTF-8.
  package var payload: Slice
  /// A MIME type; empty is plain text, or octets.
  package var contentType: String
  /// A name that subscribers may dispatch on (the `event` of Server-Sent Events); empty is none.
  package var event: String
  /// Of the publisher's token.
  package var user: String?
  /// A second publication with the same key within the channel's memory is answered with the place of the first.
  package var key: String?

  package init(
    _ kind: Kind, _ payload: Slice, contentType: String = "", event: String = "", user: String? = nil, key: String? = nil
  ) {
    self.kind = kind
    self.payload = payload
    self.contentType = contentType
    self.event = event
    self.user = user
    self.key = key
  }

  package var isJSON: Bool { kind == .text && contentType == "application/json" }
}

/// A message with its place in its channel.
package struct Message: Sendable {
  /// From 1, without gaps.
  package let offset: Int
  /// For people; never goes back within a channel.
  package let time: WallTime
  /// What its age is counted from: the wall clock may jump.
  package let arrival: Instant
  package let draft: Draft

  package init(offset: Int, time: WallTime, arrival: Instant, draft: Draft) {
    self.offset = offset
    self.time = time
    self.arrival = arrival
    self.draft = draft
  }

  package var payload: Slice { draft.payload }

  /// What it costs to keep, about.
  internal var weight: Int { draft.payload.count + draft.contentType.utf8.count + draft.event.utf8.count + 128 }
}
