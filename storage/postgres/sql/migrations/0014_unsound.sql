-- Whether the challenges of a connection that was followed by another were passed up to its end.

ALTER TABLE node_unsettled ADD COLUMN sound boolean NOT NULL DEFAULT true;
