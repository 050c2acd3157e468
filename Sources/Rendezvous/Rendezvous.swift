// The module Rendezvous.
