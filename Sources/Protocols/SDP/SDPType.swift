/// What a description is for (RFC 8829 §3.2); it travels beside the text.
package enum SDPType: String, Sendable {
  case offer, pranswer, answer, rollback

  package var isAnswer: Bool { self == .answer || self == .pranswer }
}
